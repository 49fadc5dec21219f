// A model's shape and weights in the C API: plain pointers into a mapped file.
#pragma once
#include <stdint.h>

extern "C" {

// Packed sizes: heads are padded to multiples of 16, everything else to multiples of 64.
struct mcq_shape {
    int32_t layers, hidden, inner, vocabulary, heads, kv_heads, head;
    int32_t padded_hidden, padded_inner, padded_head, padded_vocabulary, padded_qkv, padded_attention;
    int32_t context;
    float epsilon, score_scale;
};

struct mcq_matrix {
    const uint8_t* panels;
    const float* scales;
};

struct mcq_layer {
    const float* attention_norm;
    mcq_matrix qkv;
    const float* qkv_bias;
    const float *query_norm, *key_norm;  // of one head, or null
    mcq_matrix attention_output;
    const float* mlp_norm;
    mcq_matrix gate_up, down;
};

struct mcq_weights {
    const mcq_layer* layers;
    mcq_matrix embedding, output;  // may be the same
    const float* norm;
    const float* cosines;  // (context, head / 2)
    const float* sines;
};
}
