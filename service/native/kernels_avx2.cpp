// AVX2 with FMA and F16C, for CPUs without AVX-512 VNNI. hatch_build.py has the compiler's flags.
//
// The multiply-add of bytes does twice as much as that of 16 bits, but adds two products in 16 bits, and saturates. It
// can't if the magnitudes of the two activations add up to at most 128: 255 * 128 < 2^15. More than 99 % of a model's
// pairs are like that. `bound` clamps the others, and `add_excess` multiplies the rest of them separately. So all sums
// are exact, and equal to those of AVX-512 VNNI.
#include <immintrin.h>

#include "kernels.h"

namespace mcq::avx2 {

constexpr int LANES = 8;
constexpr int TILE_VECTORS = 2;

static inline __m256i vector_at(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

static int bound(int8_t* values, int padded, Excess* excess) {
    constexpr int LIMIT = 64;
    int count = 0;
    for (int k = 0; k < padded; k += 32) {
        __m256i magnitudes = _mm256_abs_epi8(vector_at(values + k));
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

// R rows x C vectors of 8 columns.
template <int R, int C>
static inline void strip(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                         int32_t* sums, const uint8_t* next, int lines) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[R][C];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            acc[r][c] = first ? _mm256_setzero_si256() : vector_at(sums + r * PANEL + c * LANES);
    for (int k = 0; k < depth; k += 4, rows += 4, weights += 4 * PANEL) {
        if (k % 64 == 0)  // spread over the tile
            for (int i = 0; i < lines; i++, next += 64) _mm_prefetch(next, _MM_HINT_T1);
        __m256i w[C];
        for (int c = 0; c < C; c++) w[c] = vector_at(weights + c * 4 * LANES);
        for (int r = 0; r < R; r++) {
            int32_t four;
            __builtin_memcpy(&four, rows + r * stride, 4);
            __m256i a = _mm256_set1_epi32(four);
            for (int c = 0; c < C; c++)
                acc[r][c] = _mm256_add_epi32(acc[r][c], _mm256_madd_epi16(_mm256_maddubs_epi16(w[c], a), ones));
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * PANEL + c * LANES), acc[r][c]);
}

template <int R>
static inline void tile(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                        int32_t* sums, const uint8_t* next, int lines) {
    constexpr int C = R == 1 ? 8 : R <= 3 ? 4 : 2, STRIPS = PANEL / LANES / C;  // up to 12 of 16 registers are sums
    for (int s = 0; s < STRIPS; s++) {
        int begin = lines * s / STRIPS, end = lines * (s + 1) / STRIPS;
        strip<R, C>(rows, stride, weights + s * C * 4 * LANES, depth, first, sums + s * C * LANES,
                    next + size_t(begin) * depth, end - begin);
    }
}

static inline void add_excess(const Rows& rows, int row, const uint8_t* panel, int32_t* sums) {
    const Excess* excess = rows.excess + row * rows.excess_stride;
    for (const Excess* e = excess; e < excess + rows.excess_counts[row]; e++)
        tile<1>(e->values, 0, panel + size_t(e->quad) * 4 * PANEL, 4, false, sums, nullptr, 0);
}

#include "vector.h"
#include "elementwise.h"
#include "attention.h"
#include "gemm.h"

}  // namespace mcq::avx2

const mcq::Kernels* mcq::avx2_kernels() {
    static const Kernels table = {"avx2",      avx2::panel,    avx2::norm,  avx2::quantise,
                                  avx2::rope, avx2::store_kv, avx2::attend};
    return &table;
}
