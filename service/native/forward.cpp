#include "forward.h"

namespace mcq {

namespace {

// The segment behind a C handle.
Segment* segment_of(const mcq_batch_item& item) { return reinterpret_cast<Segment*>(item.sequence); }

bool in_vocabulary(const int32_t* ids, int count, int vocabulary) {
    for (int i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocabulary) return false;
    return true;
}

int max(int a, int b) { return a > b ? a : b; }

// The number of last tokens that need outputs.
int outputs_of(const mcq_batch_item& item) {
    return item.every ? item.count : max(item.greedy_count, item.scored || item.logits);
}

}  // namespace

Forward::Forward(const mcq_shape& shape, const mcq_weights& weights, const Kernels& kernels, int threads)
    : shape_(shape),
      weights_(weights),
      kernels_(kernels),
      heads_{shape.heads / shape.kv_heads, shape.padded_head, shape.score_scale},
      score_stride_(size_t(shape.context) + PANEL),
      cache_(shape_),
      threads_(threads) {}

bool Forward::reserve() {
    int widest = max(max(shape_.padded_hidden, shape_.padded_inner), shape_.padded_attention);
    bool ok = x_.reserve(size_t(MAX_ROWS) * shape_.padded_hidden) &&
              qkv_.reserve(size_t(MAX_ROWS) * shape_.padded_qkv) &&
              attention_.reserve(size_t(MAX_ROWS) * shape_.padded_attention) &&
              inner_.reserve(size_t(MAX_ROWS) * shape_.padded_inner) &&
              bytes_.reserve(size_t(MAX_ROWS) * (widest + 64)) && byte_scales_.reserve(MAX_ROWS) &&
              byte_sums_.reserve(MAX_ROWS) && excess_counts_.reserve(MAX_ROWS) &&
              excess_.reserve(size_t(MAX_ROWS) * widest / 4);
    for (int i = 0; i < threads_.count(); i++) {
        Scratch& s = scratch_[i];
        ok = ok && s.sums.reserve(size_t(MAX_ROWS) * PANEL) && s.row.reserve(widest) &&
             s.scores.reserve(ROW_TILE * score_stride_) && s.best.reserve(MAX_ROWS);
    }
    return ok;
}

int Forward::step(const mcq_batch_item* items, int count) {
    if (int error = plan(items, count)) return error;
    int blocks = (token_count_ + MAX_ROWS - 1) / MAX_ROWS;
    for (int b = 0, output = 0; b < blocks; b++) {
        int begin = int(int64_t(token_count_) * b / blocks), end = int(int64_t(token_count_) * (b + 1) / blocks);
        int first = output;
        while (output < output_count_ && output_rows_[output].token < end) output++;
        block(begin, end, first, output);
    }
    for (int begin = 0; begin < output_count_; begin += MAX_ROWS)
        write_outputs(begin, output_count_ - begin < MAX_ROWS ? output_count_ - begin : MAX_ROWS);
    for (int n = 0; n < count; n++) segment_of(items[n])->length += items[n].count;
    return MCQ_OK;
}

// Lists the tokens, the output rows, and each sequence's segments. A failed plan has changed nothing.
int Forward::plan(const mcq_batch_item* items, int count) {
    size_t tokens = 0, outputs = 0, segments = 0;
    int deepest = 0;
    for (int n = 0; n < count; n++) {
        const Segment& s = *segment_of(items[n]);
        if (s.length + items[n].count > s.capacity || s.end() + items[n].count > shape_.context) return MCQ_TOO_LONG;
        bool valid = in_vocabulary(items[n].tokens, items[n].count, shape_.vocabulary) &&
                    in_vocabulary(items[n].score, items[n].scored, shape_.vocabulary);
        if (!valid) return MCQ_UNKNOWN_TOKEN;
        tokens += items[n].count;
        outputs += outputs_of(items[n]);
        segments += s.depth;
        deepest = max(deepest, s.depth);
    }
    bool ok = tokens_.reserve(tokens) && output_rows_.reserve(outputs) && paths_.reserve(segments) &&
              outputs_.reserve(outputs * shape_.padded_hidden);
    for (int i = 0; i < threads_.count(); i++) ok = ok && scratch_[i].spans.reserve(deepest);
    if (!ok) return MCQ_NO_MEMORY;
    token_count_ = output_count_ = 0;
    for (int n = 0, path = 0; n < count; path += segment_of(items[n])->depth, n++) add_tokens(items[n], path);
    return MCQ_OK;
}

void Forward::add_tokens(const mcq_batch_item& item, int path) {
    Segment* own = segment_of(item);
    for (Segment* s = own; s; s = s->parent) paths_[path + s->depth - 1] = s;
    int outputs = outputs_of(item);
    for (int i = 0; i < item.count; i++) {
        int left = item.count - 1 - i;
        if (left < outputs) {
            float* logits = nullptr;
            if (item.logits && (item.every || left == 0))
                logits = item.logits + (item.every ? size_t(i) * shape_.vocabulary : 0);
            int32_t* greedy = left < item.greedy_count ? item.greedy + item.greedy_count - 1 - left : nullptr;
            output_rows_[output_count_++] = {token_count_, left == 0, &item, greedy, logits};
        }
        tokens_[token_count_++] = {own, item.tokens[i], own->length + i, path};
    }
}

// Passes tokens begin..end through all layers; copies the last layer's result for the output rows to `outputs_`.
void Forward::block(int begin, int end, int output, int output_end) {
    embed(begin, end - begin);
    int count = output_end - output;
    for (int l = 0; l < shape_.layers; l++) layer(l, begin, end - begin, output_rows_.data() + output, count);
    size_t size = shape_.padded_hidden;
    if (count) __builtin_memcpy(outputs_.data() + output * size, x_.data(), count * size * sizeof(float));
}

void Forward::layer(int index, int begin, int rows, const OutputRow* outputs, int count) {
    const mcq_layer& l = weights_.layers[index];
    int hidden = shape_.padded_hidden, attention = shape_.padded_attention, inner = shape_.padded_inner;
    normalise(x_.data(), l.attention_norm, rows);
    multiply(matrix(l.qkv, shape_.padded_qkv, hidden, l.qkv_bias), rows, Finish::store, qkv_.data(), shape_.padded_qkv);
    store_kv(index, begin, rows);
    if (index == shape_.layers - 1) {
        // In the last layer, other tokens need only their keys and values.
        for (int i = 0; i < count; i++)
            __builtin_memmove(x_.data() + size_t(i) * hidden, x_.data() + size_t(outputs[i].token - begin) * hidden,
                              hidden * sizeof(float));
        rows = count;
        if (rows == 0) return;
        attend(index, begin, rows, outputs);
    } else {
        attend(index, begin, rows, nullptr);
    }
    quantise(attention_.data(), attention, rows);
    multiply(matrix(l.attention_output, hidden, attention), rows, Finish::add, x_.data(), hidden);
    normalise(x_.data(), l.mlp_norm, rows);
    multiply(matrix(l.gate_up, 2 * inner, hidden), rows, Finish::swiglu, inner_.data(), inner);
    quantise(inner_.data(), inner, rows);
    multiply(matrix(l.down, hidden, inner), rows, Finish::add, x_.data(), hidden);
}

void Forward::embed(int begin, int rows) {
    int depth = shape_.padded_hidden;
    threads_.each(rows, 8, [&](int row, int) {
        int id = tokens_[begin + row].id;
        const uint8_t* column = weights_.embedding.panels + size_t(id / PANEL) * PANEL * depth + id % PANEL * 4;
        float* x = x_.data() + size_t(row) * depth;
        for (int k = 0; k < depth; k += 4, column += PANEL * 4)
            for (int i = 0; i < 4; i++) x[k + i] = float(int(column[i]) - 128) * weights_.embedding.scales[id];
    });
}

// Applies the heads' norms, if there are any, and the rotary embedding to queries and keys; stores keys and values.
void Forward::store_kv(int layer, int begin, int rows) {
    int size = shape_.padded_head, half = shape_.head / 2;
    const mcq_layer& l = weights_.layers[layer];
    threads_.each(rows, 8, [&](int row, int) {
        const Token& token = tokens_[begin + row];
        size_t position = size_t(token.segment->start + token.place);
        const float *cosines = weights_.cosines + position * half, *sines = weights_.sines + position * half;
        float* head = qkv_.data() + size_t(row) * shape_.padded_qkv;
        for (int h = 0; l.query_norm && h < shape_.heads + shape_.kv_heads; h++)
            kernels_.norm_head(head + h * size, h < shape_.heads ? l.query_norm : l.key_norm, shape_.head, size,
                               shape_.epsilon);
        for (int h = 0; h < shape_.heads + shape_.kv_heads; h++)
            kernels_.rope(head + h * size, cosines, sines, half);
        const float *key = head + shape_.heads * size, *value = key + shape_.kv_heads * size;
        for (int h = 0; h < shape_.kv_heads; h++)
            kernels_.store_kv(key + h * size, value + h * size, size, cache_.key(*token.segment, layer, h, token.place),
                              cache_.value(*token.segment, layer, h, token.place));
    });
}

// Attends for all tokens of a block, or only for the output rows.
void Forward::attend(int layer, int begin, int rows, const OutputRow* outputs) {
    int heads = shape_.kv_heads, width = heads_.group * heads_.size;
    threads_.each(rows * heads, rows > 16 ? 4 : 1, [&](int item, int thread) {
        int row = item / heads, kv_head = item % heads, from = outputs ? outputs[row].token - begin : row;
        const float* queries = qkv_.data() + size_t(from) * shape_.padded_qkv + kv_head * width;
        float* out = attention_.data() + size_t(row) * shape_.padded_attention + kv_head * width;
        attend_one(layer, tokens_[begin + from], queries, kv_head, scratch_[thread], out);
    });
}

void Forward::attend_one(int layer, const Token& token, const float* queries, int kv_head, Scratch& scratch,
                         float* out) {
    int spans = 0;
    for (int i = 0; i < token.segment->depth; i++) {
        const Segment& s = *paths_[token.path + i];
        int count = &s == token.segment ? token.place + 1 : s.length;
        if (count) scratch.spans[spans++] = cache_.span(s, layer, kv_head, count);
    }
    kernels_.attend(heads_, queries, scratch.spans.data(), spans, scratch.scores.data(), score_stride_, out);
}

}  // namespace mcq
