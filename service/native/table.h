// The table of an instruction set's kernels. Included at the end of its namespace.
static constexpr Kernels table(const char* name, PanelKernel* panel) {
    return {name, panel, norm, quantise, rope, store_kv, attend};
}
