// The instruction sets of this CPU and its operating system.
#include <sys/auxv.h>

#include "sets.h"

namespace mcq {

const Kernels* const* supported_kernels() {
    constexpr unsigned long DOTPROD = 1 << 20, I8MM = 1 << 13;  // Linux' HWCAP_ASIMDDP and HWCAP2_I8MM
    static const Kernels* supported[3];
    int count = 0;
    bool dotprod = getauxval(AT_HWCAP) & DOTPROD, i8mm = getauxval(AT_HWCAP2) & I8MM;
    if (dotprod && i8mm) supported[count++] = neon_i8mm_kernels();
    if (dotprod) supported[count++] = neon_dotprod_kernels();
    return supported;
}

}  // namespace mcq
