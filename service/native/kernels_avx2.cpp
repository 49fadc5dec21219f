// AVX2 with FMA and F16C, for CPUs without AVX-512 VNNI. hatch_build.py has the compiler's flags.
// Bytes are widened to 16 bits, because the multiply-add of bytes would saturate.
#include <immintrin.h>

#include "kernels.h"

namespace mcq::avx2 {

constexpr int LANES = 8;
constexpr int TILE_VECTORS = 2;

// R rows x 16 columns: a register holds two sums, of two depths each, for each of 4 columns.
template <int R>
static inline void columns16(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                             int32_t* sums) {
    __m256i acc[R][4];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < 4; c++) acc[r][c] = _mm256_setzero_si256();
    for (int k = 0; k < depth; k += 4, rows += 4, weights += 256) {
        __m256i a[R];
        for (int r = 0; r < R; r++) {
            int32_t four;
            __builtin_memcpy(&four, rows + r * stride, 4);
            a[r] = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
        }
        for (int c = 0; c < 4; c++) {
            __m256i w = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + c * 16)));
            for (int r = 0; r < R; r++) acc[r][c] = _mm256_add_epi32(acc[r][c], _mm256_madd_epi16(w, a[r]));
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < 4; c++) {
            alignas(32) int32_t pairs[8];
            _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), acc[r][c]);
            for (int i = 0; i < 4; i++) {
                int32_t& sum = sums[r * PANEL + c * 4 + i];
                sum = (first ? 0 : sum) + pairs[2 * i] + pairs[2 * i + 1];
            }
        }
}

template <int R>
static inline void tile(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                        int32_t* sums, const uint8_t* next, int lines) {
    for (int i = 0; i < lines * depth / 64; i++, next += 64) _mm_prefetch(next, _MM_HINT_T1);
    for (int c = 0; c < 4; c++) {
        if constexpr (R > 3) {
            columns16<3>(rows, stride, weights + c * 64, depth, first, sums + c * 16);
            columns16<R - 3>(rows + 3 * stride, stride, weights + c * 64, depth, first, sums + 3 * PANEL + c * 16);
        } else {
            columns16<R>(rows, stride, weights + c * 64, depth, first, sums + c * 16);
        }
    }
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
