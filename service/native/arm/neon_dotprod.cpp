// NEON with dotprod: 16 products of signed bytes and their sums in one instruction. Weights lose the offset before it.
#include <arm_neon.h>

#include "sets.h"

namespace mcq::neon_dotprod {

constexpr int LANES = 4, OFFSET = 0, REGISTERS = 32;
#include "../vector.h"

static inline Ints multiply_add(Ints sums, Ints weights, Ints rows) {
    int8x16_t plain = reinterpret_cast<int8x16_t>(veorq_u8(reinterpret_cast<uint8x16_t>(weights), vdupq_n_u8(128)));
    return reinterpret_cast<Ints>(vdotq_s32(reinterpret_cast<int32x4_t>(sums), plain,
                                            reinterpret_cast<int8x16_t>(rows)));
}

#include "../tile.h"
#include "../exact.h"
#include "../table.h"

}  // namespace mcq::neon_dotprod

const mcq::Kernels* mcq::neon_dotprod_kernels() {
    static constexpr Kernels kernels = neon_dotprod::table("neon_dotprod", neon_dotprod::panel);
    return &kernels;
}
