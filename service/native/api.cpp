#include "api.h"

#include "forward.h"

inline void* operator new(size_t, void* place) noexcept { return place; }

struct mcq_engine {
    mcq_shape shape;
    mcq_weights weights;
    mcq::Forward forward;

    mcq_engine(const mcq_shape& s, const mcq_weights& w, const mcq::Kernels& kernels, int threads)
        : shape(s), weights(w), forward(shape, weights, kernels, threads) {}
};

extern "C" {

const char* mcq_instructions(const char* name) {
    const mcq::Kernels* kernels = mcq::find_kernels(name);
    return kernels ? kernels->name : nullptr;
}

mcq_engine* mcq_open(const mcq_shape* shape, const mcq_weights* weights, int threads, const char* instructions) {
    const mcq::Kernels* kernels = mcq::find_kernels(instructions);
    void* memory = kernels ? aligned_alloc(alignof(mcq_engine), sizeof(mcq_engine)) : nullptr;
    if (!memory) return nullptr;
    auto* engine = new (memory) mcq_engine(*shape, *weights, *kernels, threads);
    if (engine->forward.reserve()) return engine;
    mcq_close(engine);
    return nullptr;
}

void mcq_close(mcq_engine* engine) {
    engine->~mcq_engine();
    free(engine);
}

mcq_sequence* mcq_sequence_open(mcq_engine* engine, mcq_sequence* parent, int room) {
    return reinterpret_cast<mcq_sequence*>(
        engine->forward.cache().create(reinterpret_cast<mcq::Segment*>(parent), room));
}

void mcq_sequence_close(mcq_engine* engine, mcq_sequence* sequence) {
    engine->forward.cache().release(reinterpret_cast<mcq::Segment*>(sequence));
}

void mcq_sequence_forget(mcq_sequence* sequence, int count) {
    reinterpret_cast<mcq::Segment*>(sequence)->length -= count;
}

uint64_t mcq_cache_bytes(mcq_engine* engine) { return engine->forward.cache().bytes(); }

int mcq_step(mcq_engine* engine, const mcq_batch_item* items, int count) { return engine->forward.step(items, count); }

void mcq_products(mcq_engine* engine, int rows, int outputs) {
    int count = rows < mcq::MAX_ROWS ? rows : mcq::MAX_ROWS;
    engine->forward.products(count, outputs < count ? outputs : count);
}
}
