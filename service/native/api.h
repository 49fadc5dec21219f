// What Python calls, from one thread. Functions that return int return 0, or a code of mcq_error.
#pragma once
#include "model.h"

#pragma GCC visibility push(default)
extern "C" {

enum mcq_error { MCQ_OK = 0, MCQ_NO_MEMORY = 1, MCQ_TOO_LONG = 2, MCQ_NO_TOKEN = 3 };

struct mcq_engine;
struct mcq_sequence;

// Tokens for one sequence to read, and where what is wanted of them goes; null where it is not.
struct mcq_feed {
    mcq_sequence* sequence;
    const int32_t* tokens;
    int32_t count;
    int32_t scored;          // ids whose logits after the last token are wanted
    const int32_t* score;
    float* scores;
    int32_t* greedy;         // the most probable next token
    float* logits;           // (1, vocabulary), or (count, vocabulary) if `every`
    int32_t every;
};

// The name of the instruction set that would be used: the best one, or `wanted` itself; null if there is none.
const char* mcq_instructions(const char* wanted);
// Null where there is no memory or the instruction set is lacking. The weights must outlive the engine.
mcq_engine* mcq_open(const mcq_shape*, const mcq_weights*, int threads, const char* instructions);
void mcq_close(mcq_engine*);
// A sequence with room for `room` tokens after those of `parent`, which may be null. Null where there is no memory.
mcq_sequence* mcq_sequence_open(mcq_engine*, mcq_sequence* parent, int room);
void mcq_sequence_close(mcq_engine*, mcq_sequence*);
// Bytes of keys and values that open sequences hold.
uint64_t mcq_cache_bytes(mcq_engine*);
int mcq_step(mcq_engine*, const mcq_feed* feeds, int count);
// Multiplies `rows` made-up rows with all matrices of the layers, nothing else: what a step can at best take.
void mcq_products(mcq_engine*, int rows);
}
#pragma GCC visibility pop
