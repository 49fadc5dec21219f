// The forward pass: the tokens of all items, packed, up to MAX_ROWS at a time.
#pragma once
#include "api.h"
#include "cache.h"
#include "kernels.h"
#include "memory.h"
#include "threads.h"

namespace mcq {

// One token of a step.
struct Token {
    Segment* segment;
    int32_t id;
    int32_t place;  // its index in the segment
    int32_t path;   // the index in `paths_` of its segment's ancestors, the root first
};

// A token that needs outputs, and its item.
struct OutputRow {
    int32_t token;
    bool last;  // the item's last token: the scores belong to it
    const mcq_batch_item* item;
    int32_t* greedy;  // the output for the most probable next token, or null
    float* logits;  // the output for all logits, or null
};

class Forward {
  public:
    Forward(const mcq_shape& shape, const mcq_weights& weights, const Kernels& kernels, int threads);
    bool reserve();  // Returns false if there is no memory.
    int step(const mcq_batch_item* items, int count);
    void products(int rows, int outputs);

    Cache& cache() { return cache_; }

  private:
    struct Scratch {
        Array<int32_t> sums;
        Array<float> row, scores;
        Array<Span> spans;
        Array<Best> best;
    };

    // forward.cpp: the plan of a step, and the layers
    int plan(const mcq_batch_item* items, int count);
    void add_tokens(const mcq_batch_item& item, int path);
    void block(int begin, int end, int output, int output_end);
    void layer(int index, int begin, int rows, const OutputRow* outputs, int count);
    void embed(int begin, int rows);
    void store_kv(int layer, int begin, int rows);
    void attend(int layer, int begin, int rows, const OutputRow* outputs);
    void attend_one(int layer, const Token& token, const float* queries, int kv_head, Scratch& scratch, float* out);

    // products.cpp: matrix products and logits
    Matrix matrix(const mcq_matrix& packed, int columns, int depth, const float* bias = nullptr) const;
    Rows rows(int count, int depth);
    QuantisedRow row(int index, int depth);
    void normalise(const float* x, const float* weight, int rows);
    void quantise(const float* x, int padded, int rows);
    void multiply(const Matrix& matrix, int rows, Finish finish, float* out, size_t stride);
    void multiply(const Product& product);
    void write_outputs(int begin, int count);
    void multiply_outputs(const Matrix& matrix, int count, float** logits);
    float logit(const Rows& rows, int row, int token) const;

    const mcq_shape& shape_;
    const mcq_weights& weights_;
    const Kernels& kernels_;
    const Heads heads_;
    const size_t score_stride_;
    Cache cache_;
    Threads threads_;
    Scratch scratch_[Threads::MAX_THREADS];

    Array<Token> tokens_;
    Array<Segment*> paths_;
    Array<OutputRow> output_rows_;
    int token_count_ = 0, output_count_ = 0;

    Array<float> x_, qkv_, attention_, inner_, outputs_;
    Array<int8_t> bytes_;
    Array<float> byte_scales_;
    Array<int32_t> byte_sums_, excess_counts_;
    Array<Excess> excess_;
};

}  // namespace mcq
