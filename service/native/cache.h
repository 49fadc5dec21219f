// The key-value cache: a tree of segments. A sequence is a leaf; its own tokens follow those of its ancestors, which
// other sequences may share.
#pragma once
#include "kernels.h"
#include "model.h"

namespace mcq {

struct Segment {
    Segment* parent;
    int references;      // from the handle and from children
    int start;           // position of its first token
    int length;          // its own tokens
    int capacity;
    int depth;           // segments from the root, including this one
    size_t bytes;
    Half* keys;          // (layers, kv heads, blocks, head, KEY_BLOCK)
    Half* values;        // (layers, kv heads, capacity, head)
    int blocks() const { return (capacity + KEY_BLOCK - 1) / KEY_BLOCK; }
    int end() const { return start + length; }
};

class Cache {
  public:
    explicit Cache(const mcq_shape& shape) : shape_(shape) {}
    // Creates a segment for `capacity` tokens after `parent`, which may be null. Returns null if there is no memory.
    Segment* create(Segment* parent, int capacity);
    // Drops the handle's reference; frees the memory with the last reference.
    void release(Segment* segment);
    // The addresses of a token's key and value, by its position in the segment.
    Half* key(const Segment& segment, int layer, int kv_head, int position) const;
    Half* value(const Segment& segment, int layer, int kv_head, int position) const;
    // The keys and values of a segment's first `count` tokens, for a kv head of a layer.
    Span span(const Segment& segment, int layer, int kv_head, int count) const;
    size_t bytes() const { return bytes_; }

  private:
    const mcq_shape& shape_;
    size_t bytes_ = 0;
};

}  // namespace mcq
