// Operations on one token's row between the products. Included inside a namespace of each instruction set, after its
//   int bound(int8_t* values, int padded, Excess* excess)
// which moves what would saturate the products' instructions to `excess`, and returns how many entries that has.
static inline float max_abs(const float* x, int padded) {
    Floats best[4] = {};
    for (int i = 0; i < padded; i += 4 * LANES)
        for (int j = 0; j < 4; j++) best[j] = max(best[j], abs(load(x + i + j * LANES)));
    return reduce_max(max(max(best[0], best[1]), max(best[2], best[3])));
}

static void quantise(const float* x, int padded, const QuantisedRow& out) {
    float peak = max_abs(x, padded);
    float inverse = peak > 0 ? 127.f / peak : 0.f;
    Ints sums = {};
    for (int i = 0; i < padded; i += LANES) {
        Ints q = reinterpret_cast<Ints>(load(x + i) * inverse + ROUND) - reinterpret_cast<Ints>(broadcast(ROUND));
        sums += q;
        store(out.values + i, __builtin_convertvector(q, Bytes));
    }
    *out.scale = peak / 127.f;
    *out.sum = reduce_sum(sums);
    *out.excess_count = bound(out.values, padded, out.excess);
}

static void norm(const float* x, const float* weight, int size, int padded, float epsilon, const QuantisedRow& out,
                 float* scratch) {
    Floats squares[4][SUMS] = {}, total[SUMS];
    for (int i = 0; i < padded;)
        for (int j = 0; j < 4; j++)
            for (int s = 0; s < SUMS; s++, i += LANES) squares[j][s] += load(x + i) * load(x + i);
    for (int s = 0; s < SUMS; s++) total[s] = (squares[0][s] + squares[1][s]) + (squares[2][s] + squares[3][s]);
    float mean = reduce_sum(total) / float(size);
    float inverse = 1.f / __builtin_sqrtf(mean + epsilon);
    for (int i = 0; i < padded; i += LANES) store(scratch + i, load(x + i) * inverse * load(weight + i));
    quantise(scratch, padded, out);
}

static void norm_head(float* head, const float* weight, int size, int padded, float epsilon) {
    Floats squares[SUMS] = {};
    for (int i = 0; i < padded;)
        for (int s = 0; s < SUMS; s++, i += LANES) squares[s] += load(head + i) * load(head + i);
    float inverse = 1.f / __builtin_sqrtf(reduce_sum(squares) / float(size) + epsilon);
    for (int i = 0; i < padded; i += LANES) store(head + i, load(head + i) * inverse * load(weight + i));
}

static void rope(float* head, const float* cosines, const float* sines, int half) {
    for (int i = 0; i < half; i++) {
        float a = head[i], b = head[i + half];
        head[i] = a * cosines[i] - b * sines[i];
        head[i + half] = b * cosines[i] + a * sines[i];
    }
}

static void store_kv(const float* key, const float* value, int size, Half* keys, Half* values) {
    Floats limit = broadcast(65504.f);  // the largest half; keys of some models exceed it
    for (int d = 0; d < size; d += LANES) {
        Floats k = __builtin_elementwise_min(max(load(key + d), -limit), limit);
        Floats v = __builtin_elementwise_min(max(load(value + d), -limit), limit);
        store(values + d, __builtin_convertvector(v, Halves));
        Halves narrow = __builtin_convertvector(k, Halves);
        for (int i = 0; i < LANES; i++) keys[(d + i) * KEY_BLOCK] = narrow[i];
    }
}
