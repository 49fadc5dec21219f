// Matrix products, and the outputs of the last layer's rows: logits.
#include "forward.h"

namespace mcq {

Matrix Forward::matrix(const mcq_matrix& packed, int columns, int depth, const float* bias) const {
    return {packed.panels, packed.scales, bias, columns, depth};
}

// The quantised rows. 64 extra bytes between them keep them out of the same set of the cache.
Rows Forward::rows(int count, int depth) {
    return {bytes_.data(),  size_t(depth) + 64, byte_scales_.data(),   byte_sums_.data(),
            excess_.data(), size_t(depth) / 4,  excess_counts_.data(), count};
}

QuantisedRow Forward::row(int index, int depth) {
    return {bytes_.data() + index * (size_t(depth) + 64), &byte_scales_[index], &byte_sums_[index],
            excess_.data() + index * (size_t(depth) / 4), &excess_counts_[index]};
}

void Forward::normalise(const float* x, const float* weight, int count) {
    int padded = shape_.padded_hidden;
    threads_.each(count, 4, [&](int index, int thread) {
        kernels_.norm(x + size_t(index) * padded, weight, shape_.hidden, padded, shape_.epsilon, row(index, padded),
                      scratch_[thread].row.data());
    });
}

void Forward::quantise(const float* x, int padded, int count) {
    threads_.each(count, 4, [&](int index, int) {
        kernels_.quantise(x + size_t(index) * padded, padded, row(index, padded));
    });
}

void Forward::multiply(const Matrix& m, int count, Finish finish, float* out, size_t stride) {
    multiply({m, rows(count, m.depth), finish, out, stride, nullptr, 0});
}

void Forward::multiply(const Product& product) {
    int next = 0, panels = product.matrix.count();
    threads_.on_all([&](int thread) {
        Scratch& s = scratch_[thread];
        // A thread claims its next panel early, to prefetch it.
        int mine = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
        while (mine < panels) {
            int after = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
            const uint8_t* fetch = after < panels ? product.matrix.panel(after) : nullptr;
            kernels_.panel(product, mine, fetch, s.sums.data(), s.best.data());
            mine = after;
        }
    });
}

// Writes the outputs of `count` output rows from `begin` on.
void Forward::write_outputs(int begin, int count) {
    normalise(outputs_.data() + size_t(begin) * shape_.padded_hidden, weights_.norm, count);
    Matrix m = matrix(weights_.output, shape_.padded_vocabulary, shape_.padded_hidden);
    float* logits[MAX_ROWS];
    bool whole_vocabulary = false;
    for (int i = 0; i < count; i++) {
        const OutputRow& w = output_rows_[begin + i];
        logits[i] = w.logits;
        whole_vocabulary = whole_vocabulary || w.logits || w.greedy;
    }
    if (whole_vocabulary) multiply_outputs(m, count, logits);
    for (int i = 0; i < count; i++) {
        const OutputRow& w = output_rows_[begin + i];
        for (int s = 0; w.last && s < w.item->scored; s++)
            w.item->scores[s] = logit(rows(count, m.depth), i, w.item->score[s]);
        if (!w.greedy) continue;
        Best best = scratch_[0].best[i];
        for (int t = 1; t < threads_.count(); t++) {
            const Best& other = scratch_[t].best[i];
            bool better = other.value > best.value || (other.value == best.value && other.index < best.index);
            if (better) best = other;
        }
        *w.greedy = best.index;
    }
}

// Multiplies the quantised rows with the output matrix: each thread's best token of each row, and the logits where
// `logits` has a place for them.
void Forward::multiply_outputs(const Matrix& m, int count, float** logits) {
    for (int t = 0; t < threads_.count(); t++)
        for (int i = 0; i < count; i++) scratch_[t].best[i] = {-__builtin_inff(), 0};
    multiply({m, rows(count, m.depth), Finish::logits, nullptr, 0, logits, shape_.vocabulary});
}

// The logit of one token, to the bit the same as among all logits.
float Forward::logit(const Rows& from, int row, int token) const {
    int depth = shape_.padded_hidden;
    const uint8_t* column = weights_.output.panels + size_t(token / PANEL) * PANEL * depth + token % PANEL * 4;
    int32_t sum = -128 * from.sums[row];
    auto add = [&](int quad, const int8_t* values) {
        for (int i = 0; i < 4; i++) sum += int(column[size_t(quad) * PANEL * 4 + i]) * values[i];
    };
    const int8_t* values = from.values + row * from.stride;
    for (int quad = 0; quad < depth / 4; quad++) add(quad, values + quad * 4);
    const Excess* excess = from.excess + row * from.excess_stride;
    for (int i = 0; i < from.excess_counts[row]; i++) add(excess[i].quad, excess[i].values);
    return float(sum) * from.scales[row] * weights_.output.scales[token];
}

void Forward::products(int count, int outputs) {
    int hidden = shape_.padded_hidden, inner = shape_.padded_inner, attention = shape_.padded_attention;
    for (int i = 0; i < count; i++) excess_counts_[i] = 0;  // the last step's excess belongs to another matrix
    for (int i = 0; i < shape_.layers; i++) {
        const mcq_layer& l = weights_.layers[i];
        multiply(matrix(l.qkv, shape_.padded_qkv, hidden), count, Finish::store, qkv_.data(), shape_.padded_qkv);
        multiply(matrix(l.attention_output, hidden, attention), count, Finish::store, x_.data(), hidden);
        multiply(matrix(l.gate_up, 2 * inner, hidden), count, Finish::swiglu, inner_.data(), inner);
        multiply(matrix(l.down, hidden, inner), count, Finish::store, x_.data(), hidden);
    }
    float* logits[MAX_ROWS] = {};
    if (outputs) multiply_outputs(matrix(weights_.output, shape_.padded_vocabulary, hidden), outputs, logits);
}

}  // namespace mcq
