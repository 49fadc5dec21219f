// AVX-VNNI, of CPUs without AVX-512: 32 products of bytes and their sums in one instruction. hatch_build.py has the
// compiler's flags.
#include <immintrin.h>

#include "sets.h"

namespace mcq::avx_vnni {

constexpr int LANES = 8, OFFSET = 128, REGISTERS = 16;
#include "../vector.h"

static inline Ints multiply_add(Ints sums, Ints weights, Ints rows) {
    return reinterpret_cast<Ints>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sums),
                                                      reinterpret_cast<__m256i>(weights),
                                                      reinterpret_cast<__m256i>(rows)));
}

#include "../tile.h"
#include "../exact.h"
#include "../table.h"

}  // namespace mcq::avx_vnni

const mcq::Kernels* mcq::avx_vnni_kernels() {
    static constexpr Kernels kernels = avx_vnni::table("avx_vnni", avx_vnni::panel);
    return &kernels;
}
