// Products of int8 rows with packed matrices. Included inside a namespace of each instruction set, after its
//   Ints multiply_add(Ints sums, Ints weights, Ints rows)
// adds to each sum four products of bytes, unsigned weights and signed rows, and
//   void add_excess(const Rows& rows, int row, const uint8_t* panel, int32_t* sums)
// adds the product of a row's excess.

// Depths of a panel's part that fits into the second-level cache, together with the next part.
constexpr int DEPTH_BLOCK = 2304;

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
