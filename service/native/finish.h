// The use of a product's sums. Included inside a namespace of each instruction set, after vector.h and its OFFSET: what
// its sums have added to each weight.
static inline Floats scaled_value(const Product& p, int row, int column, const int32_t* sums) {
    Ints exact = load(sums) - OFFSET * p.rows.sums[row];
    Floats scaled = as_floats(exact) * p.rows.scales[row] * load(p.matrix.scales + column);
    return p.matrix.bias ? scaled + load(p.matrix.bias + column) : scaled;
}

static inline void finish_logits(const Product& p, int row, int column, const int32_t* sums, Best* best) {
    alignas(64) float values[PANEL];
    for (int c = 0; c < PANEL; c += LANES) store(values + c, scaled_value(p, row, column + c, sums + c));
    int used = p.vocabulary - column < PANEL ? p.vocabulary - column : PANEL;
    if (p.logits[row]) __builtin_memcpy(p.logits[row] + column, values, size_t(used) * sizeof(float));
    for (int c = 0; c < used; c++)
        if (values[c] > best[row].value) best[row] = {values[c], column + c};
}

static inline void finish_swiglu(const Product& p, int row, int column, const int32_t* sums) {
    float* out = p.out + row * p.stride + column / 2;
    for (int c = 0; c < PANEL; c += 32)
        for (int i = c; i < c + 16; i += LANES) {
            Floats gate = scaled_value(p, row, column + i, sums + i);
            Floats up = scaled_value(p, row, column + i + 16, sums + i + 16);
            store(out + c / 2 + (i - c), gate * up / (1.f + exponential(-gate)));
        }
}

static void finish(const Product& p, int first, int rows, int column, const int32_t* sums, Best* best) {
    for (int row = first; row < first + rows; row++, sums += PANEL) {
        float* out = p.out ? p.out + row * p.stride + column : nullptr;  // logits have their own pointers
        switch (p.finish) {
            case Finish::store:
                for (int c = 0; c < PANEL; c += LANES) store(out + c, scaled_value(p, row, column + c, sums + c));
                break;
            case Finish::add:
                for (int c = 0; c < PANEL; c += LANES)
                    store(out + c, load(out + c) + scaled_value(p, row, column + c, sums + c));
                break;
            case Finish::swiglu: finish_swiglu(p, row, column, sums); break;
            case Finish::logits: finish_logits(p, row, column, sums, best); break;
        }
    }
}
