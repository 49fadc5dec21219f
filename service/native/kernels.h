// The kernels of one instruction set. Each file of x86 and arm fills one table; dispatch.cpp chooses at run time.
//
// Matrices are packed in panels of 64 columns (output channels): depth/4 groups, in each 64 columns x 4 consecutive
// depths, one byte for each weight: weight + 128. Depths and columns are padded with zero weights to multiples of 64.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace mcq {

constexpr int PANEL = 64;       // columns of a panel
constexpr int KEY_BLOCK = 16;   // keys stored side by side for each dimension of the head
constexpr int ROW_TILE = 6;     // rows in one pass over a panel
constexpr int MAX_ROWS = 256;   // tokens in one pass through the layers
constexpr int SECOND_LEVEL = 2; // for __builtin_prefetch: into the second-level cache

using Half = _Float16;

struct Matrix {
    const uint8_t* panels;
    const float* scales;  // one for each column: weight = scale * (byte - 128)
    const float* bias;    // one for each column, or null
    int columns, depth;   // padded
    int count() const { return columns / PANEL; }
    const uint8_t* panel(int index) const { return panels + size_t(index) * PANEL * depth; }
};

// What instructions that would saturate leave out of a row: `values` have to be added to the row's bytes at 4 * `quad`.
struct Excess {
    int32_t quad;
    int8_t values[4];
};

// Activations, quantised by token: value = scale * byte.
struct Rows {
    const int8_t* values;
    size_t stride;          // bytes from one row to the next
    const float* scales;
    const int32_t* sums;    // sum of each row's bytes; the weights' offset adds 128 times this
    const Excess* excess;
    size_t excess_stride;   // from one row's excess to the next
    const int32_t* excess_counts;
    int count;
};

// The output for one of Rows.
struct QuantisedRow {
    int8_t* values;
    float* scale;
    int32_t* sum;  // includes the excess
    Excess* excess;
    int32_t* excess_count;
};

struct Best {
    float value;
    int32_t index;
};

enum class Finish { store, add, swiglu, logits };

// A product of rows with a matrix, and the use of its result.
struct Product {
    Matrix matrix;
    Rows rows;
    Finish finish;
    float* out;             // store, add: (rows, columns); swiglu: (rows, columns / 2), columns are 16 gate, 16 up, ...
    size_t stride;          // floats from one row of `out` to the next
    float* const* logits;   // for each row: the output for its logits, or null
    int vocabulary;         // columns with a token
};

// Contiguous keys and values that a token attends to.
struct Span {
    const Half* keys;    // (blocks of KEY_BLOCK, head size, KEY_BLOCK)
    const Half* values;  // (count, head size)
    int count;
};

struct Heads {
    int group;     // query heads for each head of keys and values
    int size;      // a head's size, padded to a multiple of KEY_BLOCK
    float scale;   // scale of the scores
};

// One panel's columns of a product. This thread reads `next` afterwards. `scratch`: MAX_ROWS x PANEL.
using PanelKernel = void(const Product&, int index, const uint8_t* next, int32_t* scratch, Best* best);

struct Kernels {
    const char* name;
    PanelKernel* panel;
    // Root mean square norm of one row, quantised. `scratch`: `padded` floats.
    void (*norm)(const float* x, const float* weight, int size, int padded, float epsilon, const QuantisedRow& out,
                 float* scratch);
    // Root mean square norm of one head, in place.
    void (*norm_head)(float* head, const float* weight, int size, int padded, float epsilon);
    void (*quantise)(const float* x, int padded, const QuantisedRow& out);
    // Rotary embedding: rotates a head by the `half` angles of its position.
    void (*rope)(float* head, const float* cosines, const float* sines, int half);
    // Stores one head's key, with stride KEY_BLOCK in `keys`, and its value.
    void (*store_kv)(const float* key, const float* value, int size, Half* keys, Half* values);
    // Attention of one token's query heads over one head of keys and values. `scratch`: ROW_TILE x `stride` floats;
    // `stride` is at least PANEL more than the sum of the spans' counts.
    void (*attend)(const Heads&, const float* queries, const Span* spans, int count, float* scratch, size_t stride,
                   float* out);
};

// The instruction sets of this CPU and its operating system: the fastest first, then null. See x86 and arm.
const Kernels* const* supported_kernels();
// The named kernels, by default the best for this CPU; null if the CPU lacks them.
const Kernels* find_kernels(const char* name);

}  // namespace mcq
