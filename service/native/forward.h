// Tokens through the layers: all tokens of all feeds, packed, up to MAX_ROWS at a time.
#pragma once
#include "api.h"
#include "cache.h"
#include "kernels.h"
#include "memory.h"
#include "threads.h"

namespace mcq {

// One token on its way through the layers.
struct Token {
    Segment* segment;
    int32_t id;
    int32_t place;  // in its segment
    int32_t path;   // where its segment's ancestors begin in `paths_`, the root first
};

// A token whose logits are wanted, and for which feed.
struct Wanted {
    int32_t token;
    bool last;  // of its feed: what else the feed wants is wanted of this one
    const mcq_feed* feed;
    float* logits;  // where all of them go, or null
};

class Forward {
  public:
    Forward(const mcq_shape& shape, const mcq_weights& weights, const Kernels& kernels, int threads);
    bool reserve();  // False where there is no memory.
    int step(const mcq_feed* feeds, int count);
    void products(int rows);

    Cache& cache() { return cache_; }

  private:
    struct Scratch {
        Array<int32_t> sums;
        Array<float> row, scores;
        Array<Span> spans;
        Array<Best> best;
    };

    // forward.cpp: what a step reads, and the layers
    int lay_out(const mcq_feed* feeds, int count);
    void place(const mcq_feed& feed, int path);
    void block(int begin, int end, int wanted, int wanted_end);
    void layer(int index, int begin, int rows, const Wanted* wanted, int count);
    void embed(int begin, int rows);
    void remember(int layer, int begin, int rows);
    void attend(int layer, int begin, int rows, const Wanted* wanted);
    void attend_one(int layer, const Token& token, const float* queries, int kv_head, Scratch& scratch, float* out);

    // products.cpp: rows with matrices, and the logits
    Matrix matrix(const mcq_matrix& packed, int columns, int depth, const float* bias = nullptr) const;
    Rows rows(int count, int depth);
    void normalise(const float* x, const float* weight, int rows);
    void quantise(const float* x, int padded, int rows);
    void multiply(const Matrix& matrix, int rows, Finish finish, float* out, size_t stride);
    void multiply(const Product& product);
    void output(int begin, int count);
    float score(const Rows& rows, int row, int token) const;

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
    Array<Wanted> wanted_;
    int token_count_ = 0, wanted_count_ = 0;

    Array<float> x_, qkv_, mixed_, inner_, outputs_;
    Array<int8_t> bytes_;
    Array<float> byte_scales_;
    Array<int32_t> byte_sums_;
};

}  // namespace mcq
