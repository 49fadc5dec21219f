// Products of int8 rows with packed matrices. Included inside a namespace of each instruction set, after its `tile`:
//   template <int R> void tile(const int8_t* rows, size_t stride, const uint8_t* weights, int depth, bool first,
//                              int32_t* sums, const uint8_t* next, int lines)
// adds to `sums` (R, PANEL), or sets them if `first`, and prefetches `lines` cache lines of `next` for each 64 depths.
//   void add_excess(const Rows& rows, int row, const uint8_t* panel, int32_t* sums)
// adds the product of a row's excess.

// Depths of a panel's part that fits into the second-level cache, together with the next part.
constexpr int DEPTH_BLOCK = 2304;

static inline Floats scaled_value(const Product& p, int row, int column, const int32_t* sums) {
    Ints exact = load(sums) - 128 * p.rows.sums[row];
    Floats scaled = as_floats(exact) * p.rows.scales[row] * load(p.matrix.scales + column);
    return p.matrix.bias ? scaled + load(p.matrix.bias + column) : scaled;
}

static inline void finish_logits(const Product& p, int row, int column, const int32_t* sums, Best* best) {
    alignas(64) float values[PANEL];
    for (int c = 0; c < PANEL; c += LANES) store(values + c, scaled_value(p, row, column + c, sums + c));
    int used = p.vocabulary - column < PANEL ? p.vocabulary - column : PANEL;
    if (p.logits[row]) __builtin_memcpy(p.logits[row] + column, values, size_t(used) * sizeof(float));
    for (int c = 0; c < used; c++)
        if (values[c] > best[row].value) best[row] = {values[c], column + c};
}

static inline void finish_swiglu(const Product& p, int row, int column, const int32_t* sums) {
    float* out = p.out + row * p.stride + column / 2;
    for (int c = 0; c < PANEL; c += 32)
        for (int i = c; i < c + 16; i += LANES) {
            Floats gate = scaled_value(p, row, column + i, sums + i);
            Floats up = scaled_value(p, row, column + i + 16, sums + i + 16);
            store(out + c / 2 + (i - c), gate * up / (1.f + exponential(-gate)));
        }
}

static void finish(const Product& p, int first, int rows, int column, const int32_t* sums, Best* best) {
    for (int row = first; row < first + rows; row++, sums += PANEL) {
        float* out = p.out ? p.out + row * p.stride + column : nullptr;  // logits have their own pointers
        switch (p.finish) {
            case Finish::store:
                for (int c = 0; c < PANEL; c += LANES) store(out + c, scaled_value(p, row, column + c, sums + c));
                break;
            case Finish::add:
                for (int c = 0; c < PANEL; c += LANES)
                    store(out + c, load(out + c) + scaled_value(p, row, column + c, sums + c));
                break;
            case Finish::swiglu: finish_swiglu(p, row, column, sums); break;
            case Finish::logits: finish_logits(p, row, column, sums, best); break;
        }
    }
}

static void panel(const Product& p, int index, const uint8_t* next, int32_t* scratch, Best* best) {
    int tiles = (p.rows.count + ROW_TILE - 1) / ROW_TILE;
    int blocks = (p.matrix.depth + DEPTH_BLOCK - 1) / DEPTH_BLOCK;
    int chunks = p.matrix.depth / 64;  // a chunk is 64 depths: one cache line of each row
    const uint8_t* weights = p.matrix.panel(index);
    for (int block = 0; block < blocks; block++) {
        int begin = chunks * block / blocks, end = chunks * (block + 1) / blocks, depth = (end - begin) * 64;
        bool last = block == blocks - 1;
        const uint8_t* fetch = last ? next : weights + size_t(PANEL) * depth;
        int lines = fetch ? (PANEL + tiles - 1) / tiles : 0;
        for (int t = 0; t < tiles; t++) {
            int row = p.rows.count * t / tiles, rows = p.rows.count * (t + 1) / tiles - row;
            const int8_t* from = p.rows.values + row * p.rows.stride + begin * 64;
            int32_t* sums = scratch + row * PANEL;
            const uint8_t* part = fetch ? fetch + size_t(t) * lines * (end - begin) * 64 : nullptr;
            switch (rows) {
                case 1: tile<1>(from, p.rows.stride, weights, depth, block == 0, sums, part, lines); break;
                case 2: tile<2>(from, p.rows.stride, weights, depth, block == 0, sums, part, lines); break;
                case 3: tile<3>(from, p.rows.stride, weights, depth, block == 0, sums, part, lines); break;
                case 4: tile<4>(from, p.rows.stride, weights, depth, block == 0, sums, part, lines); break;
                case 5: tile<5>(from, p.rows.stride, weights, depth, block == 0, sums, part, lines); break;
                default: tile<6>(from, p.rows.stride, weights, depth, block == 0, sums, part, lines); break;
            }
            if (!last) continue;
            for (int r = 0; r < rows; r++) add_excess(p.rows, row + r, p.matrix.panel(index), sums + r * PANEL);
            finish(p, row, rows, index * PANEL, sums, best);
        }
        weights += size_t(PANEL) * depth;
    }
}
