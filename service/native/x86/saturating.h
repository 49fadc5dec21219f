// Exact products with instructions that saturate. Included inside a namespace of each instruction set without VNNI,
// before gemm.h.
//
// The multiply-add of bytes does twice as much as that of 16 bits, but adds two products in 16 bits, and saturates. It
// can't if the magnitudes of the two activations add up to at most 128: 255 * 128 < 2^15. More than 99 % of a model's
// pairs are like that. `bound` clamps the others, and `add_excess` multiplies the rest of them separately. So all sums
// are exact, and equal to those of VNNI.
static int bound(int8_t* values, int padded, Excess* excess) {
    constexpr int LIMIT = 64;
    int count = 0;
    for (int k = 0; k < padded; k += 32) {
        __m256i magnitudes = _mm256_abs_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + k)));
        __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_set1_epi8(1));
        auto large = uint32_t(_mm256_movemask_epi8(_mm256_cmpgt_epi16(pairs, _mm256_set1_epi16(2 * LIMIT))));
        for (int i = 0; large; i += 4, large >>= 4) {
            if (!(large & 15)) continue;
            Excess& e = excess[count++];
            e.quad = (k + i) / 4;
            for (int j = 0; j < 4; j++) {
                int8_t& value = values[k + i + j];
                int clamped = value > LIMIT ? LIMIT : value < -LIMIT ? -LIMIT : value;
                e.values[j] = int8_t(value - clamped);
                value = int8_t(clamped);
            }
        }
    }
    return count;
}

static inline void add_excess(const Rows& rows, int row, const uint8_t* panel, int32_t* sums) {
    const Excess* excess = rows.excess + row * rows.excess_stride;
    constexpr int VECTORS = PANEL / LANES;
    Ints acc[1][VECTORS];
    for (int c = 0; c < VECTORS; c++) acc[0][c] = load(sums + c * LANES);
    for (const Excess* e = excess; e < excess + rows.excess_counts[row]; e++)
        multiply_quad(e->values, 0, panel + size_t(e->quad) * 4 * PANEL, acc);
    for (int c = 0; c < VECTORS; c++) store(sums + c * LANES, acc[0][c]);
}
