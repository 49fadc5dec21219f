// The instruction sets of x86-64.
#pragma once
#include "../kernels.h"

namespace mcq {

namespace amx {
PanelKernel panel;
}
const Kernels* amx_kernels();  // those of AVX-512 VNNI, but for the products
const Kernels* avx512_vnni_kernels();
const Kernels* avx512_kernels();
const Kernels* avx_vnni_kernels();
const Kernels* avx2_kernels();

}  // namespace mcq
