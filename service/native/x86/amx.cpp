// AMX: one instruction multiplies a tile of 16 rows x 64 depths by one of 64 depths x 16 columns. Rows and panels lie in
// memory as the tiles need them. Few rows, and everything but products, are left to AVX-512 VNNI: the sums are equal.
#include <immintrin.h>

#include "sets.h"

namespace mcq::amx {

constexpr int LANES = 16, OFFSET = 128, REGISTERS = 32;
#include "../vector.h"
#include "../finish.h"

constexpr int FEWEST_ROWS = 6;
constexpr int TILE_ROWS = 16;
// Bytes from one row of a tile to the next.
constexpr int SUMS_STRIDE = PANEL * sizeof(int32_t), WEIGHTS_STRIDE = 4 * PANEL;
// Depths of two tiles of rows that stay in the first-level cache for both halves of a panel.
constexpr int DEPTH_BLOCK = 768;

// Tiles 0 to 3 are sums, 4 is rows, 5 rows or weights, 6 and 7 are weights.
struct Configuration {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16];
    Configuration(int height, int fifth)
        : rows{uint8_t(height), uint8_t(height), uint8_t(height), uint8_t(height), uint8_t(height), uint8_t(fifth),
               TILE_ROWS, TILE_ROWS} {}
};

struct Prefetch {
    const uint8_t* next;
    int lines;  // for each 64 depths
    void operator()() {
        for (int i = 0; i < lines; i++, next += 64) __builtin_prefetch(next, 0, SECOND_LEVEL);
    }
};

// Adds to the `sums` of two tiles of `height` rows and half a panel's columns, or sets them if `first`. All loads come
// before the products: while another thread of the core computes, a load waits for the products before it.
static void multiply_two(const int8_t* rows, size_t stride, int height, const uint8_t* weights, int depth, bool first,
                         int32_t* sums, Prefetch prefetch) {
    const int8_t* more = rows + height * stride;
    int32_t* more_sums = sums + height * PANEL;
    if (first) {
        _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
    } else {
        _tile_loadd(0, sums, SUMS_STRIDE), _tile_loadd(1, sums + 16, SUMS_STRIDE);
        _tile_loadd(2, more_sums, SUMS_STRIDE), _tile_loadd(3, more_sums + 16, SUMS_STRIDE);
    }
    for (const int8_t* end = rows + depth; rows < end; rows += 64, more += 64, weights += 64 * PANEL) {
        prefetch();
        _tile_loadd(4, rows, stride), _tile_loadd(5, more, stride);
        _tile_loadd(6, weights, WEIGHTS_STRIDE), _tile_loadd(7, weights + 64, WEIGHTS_STRIDE);
        _tile_dpbsud(0, 4, 6), _tile_dpbsud(1, 4, 7);
        _tile_dpbsud(2, 5, 6), _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, sums, SUMS_STRIDE), _tile_stored(1, sums + 16, SUMS_STRIDE);
    _tile_stored(2, more_sums, SUMS_STRIDE), _tile_stored(3, more_sums + 16, SUMS_STRIDE);
}

// Does the same for one tile of rows and all columns.
static void multiply_one(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
                         int32_t* sums, Prefetch prefetch) {
    if (first) {
        _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
    } else {
        _tile_loadd(0, sums, SUMS_STRIDE), _tile_loadd(1, sums + 16, SUMS_STRIDE);
        _tile_loadd(2, sums + 32, SUMS_STRIDE), _tile_loadd(3, sums + 48, SUMS_STRIDE);
    }
    for (const int8_t* end = rows + depth; rows < end; rows += 64, weights += 64 * PANEL) {
        prefetch();
        _tile_loadd(4, rows, stride), _tile_loadd(5, weights, WEIGHTS_STRIDE);
        _tile_loadd(6, weights + 64, WEIGHTS_STRIDE), _tile_loadd(7, weights + 128, WEIGHTS_STRIDE);
        _tile_dpbsud(0, 4, 5);
        _tile_loadd(5, weights + 192, WEIGHTS_STRIDE);
        _tile_dpbsud(1, 4, 6), _tile_dpbsud(2, 4, 7), _tile_dpbsud(3, 4, 5);
    }
    _tile_stored(0, sums, SUMS_STRIDE), _tile_stored(1, sums + 16, SUMS_STRIDE);
    _tile_stored(2, sums + 32, SUMS_STRIDE), _tile_stored(3, sums + 48, SUMS_STRIDE);
}

void panel(const Product& p, int index, const uint8_t* next, int32_t* scratch, Best* best) {
    int count = p.rows.count;
    if (count < FEWEST_ROWS) return avx512_vnni_kernels()->panel(p, index, next, scratch, best);
    // One tile, or pairs of tiles of one height. The last rows of the last may be left over from another product: there
    // is room for MAX_ROWS rows, and their sums aren't used.
    int pairs = count > TILE_ROWS ? (count + 2 * TILE_ROWS - 1) / (2 * TILE_ROWS) : 0;
    int height = pairs ? (count + 2 * pairs - 1) / (2 * pairs) : count;
    Configuration configuration(height, pairs ? height : TILE_ROWS);
    _tile_loadconfig(&configuration);
    int chunks = p.matrix.depth / 64, blocks = (p.matrix.depth + DEPTH_BLOCK - 1) / DEPTH_BLOCK;
    int lines = pairs ? (PANEL + 2 * pairs - 1) / (2 * pairs) : PANEL;
    size_t stride = p.rows.stride;
    const uint8_t* weights = p.matrix.panel(index);
    for (int block = 0; block < blocks; block++) {
        int begin = chunks * block / blocks, end = chunks * (block + 1) / blocks, depth = (end - begin) * 64;
        const int8_t* rows = p.rows.values + begin * 64;
        const uint8_t* fetch = block == blocks - 1 ? next : weights + size_t(PANEL) * depth;
        Prefetch prefetch{fetch, fetch ? lines : 0};
        if (!pairs) multiply_one(rows, stride, weights, depth, block == 0, scratch, prefetch);
        for (int pair = 0; pair < pairs; pair++)
            for (int column = 0; column < PANEL; column += PANEL / 2) {
                int row = 2 * pair * height;
                multiply_two(rows + row * stride, stride, height, weights + column * 4, depth, block == 0,
                             scratch + row * PANEL + column, prefetch);
                prefetch.next += size_t(prefetch.lines) * depth;
            }
        weights += size_t(PANEL) * depth;
    }
    _tile_release();  // so that a waiting thread's state is small
    finish(p, 0, count, index * PANEL, scratch, best);
}

}  // namespace mcq::amx
