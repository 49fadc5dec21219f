// AVX2 with FMA and F16C: 32 products of bytes in one instruction, which saturates. hatch_build.py has the compiler's
// flags.
#include <immintrin.h>

#include "sets.h"

namespace mcq::avx2 {

constexpr int LANES = 8, OFFSET = 128, REGISTERS = 16;
#include "../vector.h"

static inline Ints multiply_add(Ints sums, Ints weights, Ints rows) {
    __m256i pairs = _mm256_maddubs_epi16(reinterpret_cast<__m256i>(weights), reinterpret_cast<__m256i>(rows));
    return sums + reinterpret_cast<Ints>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "../tile.h"
#include "saturating.h"
#include "../table.h"

}  // namespace mcq::avx2

const mcq::Kernels* mcq::avx2_kernels() {
    static constexpr Kernels kernels = avx2::table("avx2", avx2::panel);
    return &kernels;
}
