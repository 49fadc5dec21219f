// VNNI adds four products in 32 bits, where nothing saturates. Included like saturating.h, in its place.
static inline int bound(int8_t*, int, Excess*) { return 0; }
static inline void add_excess(const Rows&, int, const uint8_t*, int32_t*) {}
