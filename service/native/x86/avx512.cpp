// AVX-512 without VNNI: 64 products of bytes in one instruction, which saturates. hatch_build.py has the compiler's
// flags.
#include <immintrin.h>

#include "sets.h"

namespace mcq::avx512 {

constexpr int LANES = 16, OFFSET = 128, REGISTERS = 32;
#include "../vector.h"

static inline Ints multiply_add(Ints sums, Ints weights, Ints rows) {
    __m512i pairs = _mm512_maddubs_epi16(reinterpret_cast<__m512i>(weights), reinterpret_cast<__m512i>(rows));
    return sums + reinterpret_cast<Ints>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "../tile.h"
#include "saturating.h"
#include "../table.h"

}  // namespace mcq::avx512

const mcq::Kernels* mcq::avx512_kernels() {
    static constexpr Kernels kernels = avx512::table("avx512", avx512::panel);
    return &kernels;
}
