#include "cache.h"

#include "memory.h"

namespace mcq {

Segment* Cache::create(Segment* parent, int capacity) {
    auto* segment = static_cast<Segment*>(calloc(1, sizeof(Segment)));
    if (!segment) return nullptr;
    segment->parent = parent;
    segment->references = 1;
    segment->start = parent ? parent->end() : 0;
    segment->capacity = capacity;
    segment->depth = parent ? parent->depth + 1 : 1;
    size_t heads = size_t(shape_.layers) * shape_.kv_heads * shape_.padded_head;
    size_t keys = heads * segment->blocks() * KEY_BLOCK, values = heads * capacity;
    segment->bytes = (keys + values) * sizeof(Half);
    if (segment->bytes) {
        segment->keys = static_cast<Half*>(map_pages(segment->bytes));
        if (!segment->keys) {
            free(segment);
            return nullptr;
        }
        segment->values = segment->keys + keys;
    }
    if (parent) parent->references++;
    bytes_ += segment->bytes;
    return segment;
}

void Cache::release(Segment* segment) {
    while (segment && --segment->references == 0) {
        Segment* parent = segment->parent;
        bytes_ -= segment->bytes;
        if (segment->keys) munmap(segment->keys, segment->bytes);
        free(segment);
        segment = parent;
    }
}

Half* Cache::key(const Segment& s, int layer, int kv_head, int position) const {
    size_t block = (size_t(layer) * shape_.kv_heads + kv_head) * s.blocks() + position / KEY_BLOCK;
    return s.keys + block * shape_.padded_head * KEY_BLOCK + position % KEY_BLOCK;
}

Half* Cache::value(const Segment& s, int layer, int kv_head, int position) const {
    size_t row = (size_t(layer) * shape_.kv_heads + kv_head) * s.capacity + position;
    return s.values + row * shape_.padded_head;
}

Span Cache::span(const Segment& s, int layer, int kv_head, int count) const {
    return {key(s, layer, kv_head, 0), value(s, layer, kv_head, 0), count};
}

}  // namespace mcq
