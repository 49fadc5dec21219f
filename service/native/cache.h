// Keys and values of the tokens read so far: a tree of segments. A sequence is a leaf: its own tokens after those of
// its ancestors, which others may share.
#pragma once
#include "kernels.h"
#include "model.h"

namespace mcq {

struct Segment {
    Segment* parent;
    int references;      // by the handle and by children
    int start;           // position of its first token
    int length;          // its own tokens
    int capacity;
    int depth;           // segments from the root, this one included
    size_t bytes;
    Half* keys;          // (layers, kv heads, blocks, head, KEY_BLOCK)
    Half* values;        // (layers, kv heads, capacity, head)
    int blocks() const { return (capacity + KEY_BLOCK - 1) / KEY_BLOCK; }
    int end() const { return start + length; }
};

class Cache {
  public:
    explicit Cache(const mcq_shape& shape) : shape_(shape) {}
    // A segment for `capacity` tokens after `parent`, which may be null. Null where there is no memory.
    Segment* make(Segment* parent, int capacity);
    // Drops the handle's reference; memory goes when nothing refers to it.
    void release(Segment* segment);
    // Where the key and the value of a token go, by its position in the segment.
    Half* key(const Segment& segment, int layer, int kv_head, int position) const;
    Half* value(const Segment& segment, int layer, int kv_head, int position) const;
    // The first `count` tokens of a segment as a kv head of a layer sees them.
    Span span(const Segment& segment, int layer, int kv_head, int count) const;
    size_t bytes() const { return bytes_; }

  private:
    const mcq_shape& shape_;
    size_t bytes_ = 0;
};

}  // namespace mcq
