// Computes the logits of a text with the native library, where there is no Python: for test_arm.py, in emulation.
//   logits INSTRUCTIONS MODEL PLAN writes a float for each token and each word of the vocabulary.
// PLAN has the shape, the offsets of the model's tensors in the order below, the rotary tables, the number of tokens,
// and the tokens.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "api.h"

static char* read_all(const char* path) {
    FILE* file = fopen(path, "rb");
    if (!file) exit(3);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char* bytes = static_cast<char*>(aligned_alloc(64, (size + 64) / 64 * 64));
    if (fread(bytes, 1, size, file) != size_t(size)) exit(3);
    fclose(file);
    return bytes;
}

int main(int, char** arguments) {
    const char *model = read_all(arguments[2]), *plan = read_all(arguments[3]);
    const mcq_shape* shape = reinterpret_cast<const mcq_shape*>(plan);
    const char* at = plan + sizeof(mcq_shape);
    auto floats = [&] {
        uint64_t offset;
        __builtin_memcpy(&offset, at, sizeof offset);
        at += sizeof offset;
        return reinterpret_cast<const float*>(model + offset);
    };
    auto matrix = [&] {
        auto* panels = reinterpret_cast<const uint8_t*>(floats());
        return mcq_matrix{panels, floats()};
    };
    auto* layers = static_cast<mcq_layer*>(calloc(shape->layers, sizeof(mcq_layer)));
    for (int i = 0; i < shape->layers; i++) {
        layers[i].attention_norm = floats();
        layers[i].qkv = matrix();
        layers[i].qkv_bias = floats();
        layers[i].attention_output = matrix();
        layers[i].mlp_norm = floats();
        layers[i].gate_up = matrix();
        layers[i].down = matrix();
    }
    mcq_weights weights = {layers, matrix(), {}, floats(), nullptr, nullptr};
    weights.output = weights.embedding;
    auto* numbers = reinterpret_cast<const float*>(at);
    int angles = shape->context * shape->head / 2;
    weights.cosines = numbers;
    weights.sines = numbers + angles;
    auto* tokens = reinterpret_cast<const int32_t*>(numbers + 2 * angles);
    int count = *tokens++;
    mcq_engine* engine = mcq_open(shape, &weights, 2, arguments[1]);
    if (!engine) return 4;
    auto* logits = static_cast<float*>(calloc(size_t(count) * shape->vocabulary, sizeof(float)));
    mcq_batch_item item = {};
    item.sequence = mcq_sequence_open(engine, nullptr, count);
    item.tokens = tokens;
    item.count = count;
    item.logits = logits;
    item.every = 1;
    if (int error = mcq_step(engine, &item, 1)) return 10 + error;
    fwrite(logits, sizeof(float), size_t(count) * shape->vocabulary, stdout);
    mcq_sequence_close(engine, item.sequence);
    mcq_close(engine);
}
