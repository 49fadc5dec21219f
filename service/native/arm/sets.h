// The instruction sets of 64-bit ARM.
#pragma once
#include "../kernels.h"

namespace mcq {

const Kernels* neon_i8mm_kernels();
const Kernels* neon_dotprod_kernels();

}  // namespace mcq
