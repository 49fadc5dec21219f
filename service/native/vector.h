// Vectors of LANES floats as compiler vector types, and the functions on them.
// Included inside a namespace of each instruction set, so that the linker never mixes them.
typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef int8_t Bytes __attribute__((vector_size(LANES)));
typedef Half Halves __attribute__((vector_size(LANES * 2)));

constexpr int TILE_VECTORS = REGISTERS / 8;  // a tile of ROW_TILE x TILE_VECTORS takes three quarters of the registers

// Copies, because memory is less aligned than a vector. A vector type of less alignment makes clang misalign its stack.
template <class Vector>
static inline Vector load_as(const void* p) {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static inline Floats load(const float* p) { return load_as<Floats>(p); }
static inline Ints load(const int32_t* p) { return load_as<Ints>(p); }
static inline Floats load(const Half* p) { return __builtin_convertvector(load_as<Halves>(p), Floats); }
static inline void store(float* p, Floats v) { __builtin_memcpy(p, &v, sizeof v); }
static inline void store(int32_t* p, Ints v) { __builtin_memcpy(p, &v, sizeof v); }
static inline void store(int8_t* p, Bytes v) { __builtin_memcpy(p, &v, sizeof v); }
static inline void store(Half* p, Halves v) { __builtin_memcpy(p, &v, sizeof v); }
static inline Floats broadcast(float v) { return v - Floats{}; }
static inline Floats as_floats(Ints v) { return __builtin_convertvector(v, Floats); }
static inline Floats max(Floats a, Floats b) { return __builtin_elementwise_max(a, b); }
static inline Floats abs(Floats a) { return __builtin_elementwise_abs(a); }

// Sums of floats are kept in 16 lanes and added in one order, so that all instruction sets give the same results.
constexpr int SUMS = 16 / LANES;

static inline float reduce_sum(const Floats (&v)[SUMS]) {
    float total = 0;
    for (int s = 0; s < SUMS; s++)
        for (int i = 0; i < LANES; i++) total += v[s][i];
    return total;
}

static inline int32_t reduce_sum(Ints v) {
    int32_t total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
}

static inline float reduce_max(Floats v) {
    float best = v[0];
    for (int i = 1; i < LANES; i++) best = v[i] > best ? v[i] : best;
    return best;
}

// Adding this leaves the nearest integer in the low bits of the mantissa.
constexpr float ROUND = 12582912.f;

// e^x to about 2 units in the last place; 0 below -87.
static inline Floats exponential(Floats x) {
    x = __builtin_elementwise_min(max(x, broadcast(-87.5f)), broadcast(88.f));
    Floats shifted = x * 1.44269504f + ROUND;
    Floats n = shifted - ROUND;
    Floats r = x - n * 0.693359375f - n * -2.12194440e-4f;
    Floats p = broadcast(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    return p * reinterpret_cast<Floats>((reinterpret_cast<Ints>(shifted) << 23) + (127 << 23));
}
