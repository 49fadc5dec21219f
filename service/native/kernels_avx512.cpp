// AVX-512 with VNNI: 64 products of bytes in one instruction. hatch_build.py has the compiler's flags.
#include <immintrin.h>

#include "kernels.h"

namespace mcq::avx512 {

constexpr int LANES = 16;
constexpr int TILE_VECTORS = 4;

template <int R>
static inline void tile(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                        int32_t* sums, const uint8_t* next, int lines) {
    __m512i acc[R][4];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < 4; c++)
            acc[r][c] = first ? _mm512_setzero_si512() : _mm512_loadu_si512(sums + r * PANEL + c * 16);
    for (const int8_t* end = rows + depth; rows < end;) {
        for (int i = 0; i < lines; i++, next += 64) _mm_prefetch(next, _MM_HINT_T1);
        for (int r = 0; r < R; r++) _mm_prefetch(rows + (R + r) * stride, _MM_HINT_T0);  // the next tile's rows
#pragma clang loop unroll_count(4)
        for (int k = 0; k < 16; k++, rows += 4, weights += 256) {
            __m512i w[4];
            for (int c = 0; c < 4; c++) w[c] = _mm512_loadu_si512(weights + c * 64);
            for (int r = 0; r < R; r++) {
                int32_t four;
                __builtin_memcpy(&four, rows + r * stride, 4);
                __m512i a = _mm512_set1_epi32(four);
                for (int c = 0; c < 4; c++) acc[r][c] = _mm512_dpbusd_epi32(acc[r][c], w[c], a);
            }
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < 4; c++) _mm512_storeu_si512(sums + r * PANEL + c * 16, acc[r][c]);
}

// Nothing saturates.
static inline int bound(int8_t*, int, Excess*) { return 0; }
static inline void add_excess(const Rows&, int, const uint8_t*, int32_t*) {}

#include "vector.h"
#include "elementwise.h"
#include "attention.h"
#include "gemm.h"

}  // namespace mcq::avx512

const mcq::Kernels* mcq::avx512_kernels() {
    static const Kernels table = {"avx512_vnni",      avx512::panel,    avx512::norm,  avx512::quantise,
                                  avx512::rope, avx512::store_kv, avx512::attend};
    return &table;
}
