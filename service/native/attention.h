// Attention of one token's query heads over one head of keys and values. Included inside a namespace of each
// instruction set.
// R rows (query heads) x C vectors of keys, or of a value's dimensions, stay in registers.

template <int R, int C>
static inline void scores(const Heads& h, const float* queries, const Half* keys, float* out, size_t stride) {
    constexpr int PER_BLOCK = KEY_BLOCK / LANES;
    Floats acc[R][C] = {};
    for (int d = 0; d < h.size; d++) {
        Floats k[C];
        for (int c = 0; c < C; c++)
            k[c] = load(keys + (size_t(c / PER_BLOCK) * h.size + d) * KEY_BLOCK + c % PER_BLOCK * LANES);
        for (int r = 0; r < R; r++) {
            Floats q = broadcast(queries[r * h.size + d]);
            for (int c = 0; c < C; c++) acc[r][c] += q * k[c];
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) store(out + r * stride + c * LANES, acc[r][c] * h.scale);
}

template <int R>
static void span_scores(const Heads& h, const float* queries, const Span& span, float* out, size_t stride) {
    constexpr int BLOCKS = TILE_VECTORS * LANES / KEY_BLOCK, ONE = KEY_BLOCK / LANES;
    int blocks = (span.count + KEY_BLOCK - 1) / KEY_BLOCK, b = 0;
    size_t size = size_t(h.size) * KEY_BLOCK;
    for (; b + BLOCKS <= blocks; b += BLOCKS)
        scores<R, TILE_VECTORS>(h, queries, span.keys + b * size, out + b * KEY_BLOCK, stride);
    if constexpr (BLOCKS > 2)
        for (; b + 2 <= blocks; b += 2)
            scores<R, 2 * ONE>(h, queries, span.keys + b * size, out + b * KEY_BLOCK, stride);
    for (; b < blocks; b++) scores<R, ONE>(h, queries, span.keys + b * size, out + b * KEY_BLOCK, stride);
}

// Replaces `count` scores by e^(score - max) and returns the inverse of their sum.
static float softmax(float* x, int count) {
    for (int i = count; i < count + 16; i++) x[i] = -__builtin_inff();  // pads the last vectors
    Floats best = load(x);
    for (int i = LANES; i < count; i += LANES) best = max(best, load(x + i));
    float top = reduce_max(best);
    Floats total[SUMS] = {};
    for (int i = 0; i < count;)
        for (int s = 0; s < SUMS; s++, i += LANES) {
            Floats e = exponential(load(x + i) - top);
            e = load(x + i) == broadcast(-__builtin_inff()) ? Floats{} : e;
            store(x + i, e);
            total[s] += e;
        }
    return 1.f / reduce_sum(total);
}

template <int R, int C>
static inline void weighted_values(const Heads& h, const Span* spans, int count, const float* weights, size_t stride,
                       const float* inverse, int dimension, float* out) {
    Floats acc[R][C] = {};
    for (int s = 0; s < count; s++) {
        const Half* values = spans[s].values + dimension;
        for (int i = 0; i < spans[s].count; i++, values += h.size) {
            Floats v[C];
            for (int c = 0; c < C; c++) v[c] = load(values + c * LANES);
            for (int r = 0; r < R; r++) {
                Floats p = broadcast(weights[r * stride + i]);
                for (int c = 0; c < C; c++) acc[r][c] += p * v[c];
            }
        }
        weights += spans[s].count;
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) store(out + r * h.size + dimension + c * LANES, acc[r][c] * inverse[r]);
}

template <int R>
static void attend_rows(const Heads& h, const float* queries, const Span* spans, int count, float* scratch,
                        size_t stride, float* out) {
    int keys = 0;
    for (int s = 0; s < count; s++) {  // the next span overwrites a span's padding
        span_scores<R>(h, queries, spans[s], scratch + keys, stride);
        keys += spans[s].count;
    }
    float inverse[R];
    for (int r = 0; r < R; r++) inverse[r] = softmax(scratch + r * stride, keys);
    int d = 0;
    for (; d + TILE_VECTORS * LANES <= h.size; d += TILE_VECTORS * LANES)
        weighted_values<R, TILE_VECTORS>(h, spans, count, scratch, stride, inverse, d, out);
    for (; d < h.size; d += LANES) weighted_values<R, 1>(h, spans, count, scratch, stride, inverse, d, out);
}

static void attend(const Heads& h, const float* queries, const Span* spans, int count, float* scratch, size_t stride,
                   float* out) {
    int tiles = (h.group + ROW_TILE - 1) / ROW_TILE;
    for (int t = 0; t < tiles; t++) {
        int row = h.group * t / tiles, rows = h.group * (t + 1) / tiles - row;
        const float* q = queries + row * h.size;
        float* o = out + row * h.size;
        switch (rows) {
            case 1: attend_rows<1>(h, q, spans, count, scratch, stride, o); break;
            case 2: attend_rows<2>(h, q, spans, count, scratch, stride, o); break;
            case 3: attend_rows<3>(h, q, spans, count, scratch, stride, o); break;
            case 4: attend_rows<4>(h, q, spans, count, scratch, stride, o); break;
            case 5: attend_rows<5>(h, q, spans, count, scratch, stride, o); break;
            default: attend_rows<6>(h, q, spans, count, scratch, stride, o); break;
        }
    }
}
