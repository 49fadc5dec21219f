// The kernels made of an instruction set's vectors, and their table. Included at the end of its namespace.
#include "elementwise.h"
#include "attention.h"
#include "finish.h"
#include "gemm.h"

static constexpr Kernels table(const char* name, PanelKernel* panel) {
    return {name, panel, norm, norm_head, quantise, rope, store_kv, attend};
}
