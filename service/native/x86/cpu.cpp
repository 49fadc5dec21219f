// The instruction sets of this CPU and its operating system.
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sets.h"

namespace mcq {

namespace {

struct Features {
    bool avx2 = false, avx_vnni = false, avx512 = false, avx512_vnni = false, amx = false;
};

// Bits of XCR0: the registers that the operating system saves.
constexpr uint32_t AVX_STATE = 0x6, AVX512_STATE = 0xe6, AMX_STATE = 0x60000;

uint32_t saved_registers() {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// Linux saves a process's AMX tiles only after it asked for that. All its threads may then use them.
bool may_use_amx() {
    constexpr long ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

Features features() {
    Features cpu;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
    bool fma = c & bit_FMA, f16c = c & bit_F16C, os = c & bit_OSXSAVE;
    if (!fma || !f16c || !os || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
    auto saves = [saved = saved_registers()](uint32_t state) { return (saved & state) == state; };
    cpu.avx2 = (b & bit_AVX2) && saves(AVX_STATE);
    uint32_t wide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    cpu.avx512 = cpu.avx2 && (b & wide) == wide && saves(AVX512_STATE);
    cpu.avx512_vnni = cpu.avx512 && (c & bit_AVX512VNNI);
    uint32_t tiles = bit_AMXTILE | bit_AMXINT8;
    cpu.amx = cpu.avx512_vnni && (d & tiles) == tiles && saves(AMX_STATE) && may_use_amx();
    cpu.avx_vnni = cpu.avx2 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVXVNNI);
    return cpu;
}

}  // namespace

const Kernels* const* supported_kernels() {
    static const Kernels* supported[6];
    Features cpu = features();
    int count = 0;
    auto add = [&](bool has, const Kernels* kernels) {
        if (has) supported[count++] = kernels;
    };
    add(cpu.amx, amx_kernels());
    add(cpu.avx512_vnni, avx512_vnni_kernels());
    add(cpu.avx512, avx512_kernels());
    add(cpu.avx_vnni, avx_vnni_kernels());
    add(cpu.avx2, avx2_kernels());
    return supported;
}

}  // namespace mcq
