// The C API for Python. One thread makes all calls. Functions that return int return a code of mcq_error.
#pragma once
#include "model.h"

#pragma GCC visibility push(default)
extern "C" {

enum mcq_error { MCQ_OK = 0, MCQ_NO_MEMORY = 1, MCQ_TOO_LONG = 2, MCQ_UNKNOWN_TOKEN = 3 };

struct mcq_engine;
struct mcq_sequence;

// One sequence's part of a step: tokens to read, and pointers for the outputs; null if an output is not needed.
struct mcq_batch_item {
    mcq_sequence* sequence;
    const int32_t* tokens;
    int32_t count;
    int32_t scored;          // number of ids in `score`
    const int32_t* score;    // ids whose logits after the last token are needed
    float* scores;
    int32_t* greedy;         // the most probable next token after each of the last `greedy_count` tokens
    float* logits;           // (1, vocabulary), or (count, vocabulary) if `every`
    int32_t every;
    int32_t greedy_count;
};

// Returns the instruction set to use: `name`, by default the best; null if the CPU lacks it.
const char* mcq_instructions(const char* name);
// Returns null if there is no memory or the CPU lacks the instructions. The weights must outlive the engine.
mcq_engine* mcq_open(const mcq_shape*, const mcq_weights*, int threads, const char* instructions);
void mcq_close(mcq_engine*);
// Opens a sequence for `room` tokens after those of `parent`, which may be null. Returns null if there is no memory.
mcq_sequence* mcq_sequence_open(mcq_engine*, mcq_sequence* parent, int room);
void mcq_sequence_close(mcq_engine*, mcq_sequence*);
// Drops the last `count` of the sequence's own tokens.
void mcq_sequence_forget(mcq_sequence*, int count);
// Bytes of keys and values in open sequences.
uint64_t mcq_cache_bytes(mcq_engine*);
int mcq_step(mcq_engine*, const mcq_batch_item* items, int count);
// Multiplies `rows` made-up rows with the matrices of all layers, and `outputs` of them with the output matrix: the
// lower bound of a step's time.
void mcq_products(mcq_engine*, int rows, int outputs);
}
#pragma GCC visibility pop
