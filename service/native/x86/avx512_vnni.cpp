// AVX-512 with VNNI: 64 products of bytes and their sums in one instruction. hatch_build.py has the compiler's flags.
#include <immintrin.h>

#include "sets.h"

namespace mcq::avx512_vnni {

constexpr int LANES = 16, OFFSET = 128, REGISTERS = 32;
#include "../vector.h"

static inline Ints multiply_add(Ints sums, Ints weights, Ints rows) {
    return reinterpret_cast<Ints>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums),
                                                      reinterpret_cast<__m512i>(weights),
                                                      reinterpret_cast<__m512i>(rows)));
}

#include "../tile.h"
#include "../exact.h"
#include "../table.h"

}  // namespace mcq::avx512_vnni

const mcq::Kernels* mcq::avx512_vnni_kernels() {
    static constexpr Kernels kernels = avx512_vnni::table("avx512_vnni", avx512_vnni::panel);
    return &kernels;
}

const mcq::Kernels* mcq::amx_kernels() {
    static constexpr Kernels kernels = avx512_vnni::table("amx", amx::panel);
    return &kernels;
}
