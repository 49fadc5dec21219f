// Sums of a few rows with a part of a panel, in registers. Included inside a namespace of each instruction set, after
// its multiply_add (see gemm.h).

// Adds the products of 4 depths: R rows x C vectors of columns.
template <int R, int C>
static inline void multiply_quad(const int8_t* rows, size_t stride, const uint8_t* weights, Ints (&sums)[R][C]) {
    Ints w[C];
    for (int c = 0; c < C; c++) w[c] = load(reinterpret_cast<const int32_t*>(weights) + c * LANES);
    for (int r = 0; r < R; r++) {
        int32_t four;
        __builtin_memcpy(&four, rows + r * stride, 4);
        for (int c = 0; c < C; c++) sums[r][c] = multiply_add(sums[r][c], w[c], Ints{} + four);
    }
}

// Adds to `sums` (R, PANEL), or sets them if `first`, and prefetches `lines` cache lines of `next` for each 64 depths.
template <int R, int C>
static inline void strip(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                         int32_t* sums, const uint8_t* next, int lines) {
    Ints acc[R][C];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) acc[r][c] = first ? Ints{} : load(sums + r * PANEL + c * LANES);
    for (const int8_t* end = rows + depth; rows < end;) {
        for (int r = 0; r < R; r++) __builtin_prefetch(rows + (R + r) * stride);  // the next tile's rows
        for (int k = 0; k < 16; k++, rows += 4, weights += 4 * PANEL) {
            // Spread evenly: a burst would stop the products until memory has answered.
            for (int i = lines * k / 16, until = lines * (k + 1) / 16; i < until; i++, next += 64)
                __builtin_prefetch(next, 0, SECOND_LEVEL);
            multiply_quad(rows, stride, weights, acc);
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) store(sums + r * PANEL + c * LANES, acc[r][c]);
}

// The vectors of columns that `rows` rows take at once: most of the registers are sums, 24 of 32, or 12 of 16.
static constexpr int strip_vectors(int rows) {
    int vectors = PANEL / LANES;
    while (vectors * rows > REGISTERS * 3 / 4) vectors /= 2;
    return vectors;
}

// Does `strip` for all columns of a panel.
template <int R>
static inline void tile(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                        int32_t* sums, const uint8_t* next, int lines) {
    constexpr int C = strip_vectors(R), STRIPS = PANEL / LANES / C;
    for (int s = 0; s < STRIPS; s++) {
        int begin = lines * s / STRIPS, end = lines * (s + 1) / STRIPS;
        strip<R, C>(rows, stride, weights + s * C * 4 * LANES, depth, first, sums + s * C * LANES,
                    next + size_t(begin) * depth, end - begin);
    }
}
