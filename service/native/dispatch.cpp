// The instruction sets of this CPU and its operating system.
#include <cpuid.h>

#include "kernels.h"

namespace mcq {

namespace {

struct Features {
    bool avx2 = false, avx512 = false;
};

uint32_t saved_registers() {  // XCR0: the registers that the operating system saves
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

Features features() {
    Features cpu;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
    bool fma = c & bit_FMA, f16c = c & bit_F16C, os = c & bit_OSXSAVE;
    if (!fma || !f16c || !os || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
    uint32_t saved = saved_registers();
    cpu.avx2 = (b & bit_AVX2) && (saved & 0x6) == 0x6;
    uint32_t wide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    cpu.avx512 = cpu.avx2 && (b & wide) == wide && (c & bit_AVX512VNNI) && (saved & 0xe6) == 0xe6;
    return cpu;
}

}  // namespace

const Kernels* find_kernels(const char* name) {
    Features cpu = features();
    const Kernels* candidates[] = {cpu.avx512 ? avx512_kernels() : nullptr, cpu.avx2 ? avx2_kernels() : nullptr};
    for (const Kernels* kernels : candidates)
        if (kernels && (!name || !*name || !__builtin_strcmp(kernels->name, name))) return kernels;
    return nullptr;
}

}  // namespace mcq
