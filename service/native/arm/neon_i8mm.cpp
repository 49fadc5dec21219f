// NEON with i8mm: 16 products of bytes, unsigned by signed, and their sums in one instruction.
#include <arm_neon.h>

#include "sets.h"

namespace mcq::neon_i8mm {

constexpr int LANES = 4, OFFSET = 128, REGISTERS = 32;
#include "../vector.h"

static inline Ints multiply_add(Ints sums, Ints weights, Ints rows) {
    return reinterpret_cast<Ints>(vusdotq_s32(reinterpret_cast<int32x4_t>(sums), reinterpret_cast<uint8x16_t>(weights),
                                              reinterpret_cast<int8x16_t>(rows)));
}

#include "../tile.h"
#include "../exact.h"
#include "../table.h"

}  // namespace mcq::neon_i8mm

const mcq::Kernels* mcq::neon_i8mm_kernels() {
    static constexpr Kernels kernels = neon_i8mm::table("neon_i8mm", neon_i8mm::panel);
    return &kernels;
}
