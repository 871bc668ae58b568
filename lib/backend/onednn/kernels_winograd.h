// Weights for Winograd convolutions (Lavin and Gray 2016), DSL_WINOGRAD_WEIGHTS.

// G of tiles of 2×2 and of 4×4 outputs, scaled as oneDNN's kernels expect it.
template <int TILE> struct winograd;
template <> struct winograd<4> {
    static constexpr float G[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
};
template <> struct winograd<6> {
    static constexpr float G[6][3] = {{1.13777777777778f, 0, 0},
                                      {-0.688403361344538f, -0.430252100840336f, -0.26890756302521f},
                                      {-0.688403361344538f, 0.430252100840336f, -0.26890756302521f},
                                      {0.119514472455649f, 0.179271708683473f, 0.26890756302521f},
                                      {0.119514472455649f, -0.179271708683473f, 0.26890756302521f},
                                      {0, 0, 1}};
};

// LANES filters of one input channel, those of `have` outputs: TILE² vectors, each `next` floats behind the one before.
template <int TILE> static void winograd_filters(const float *w, int c, int have, float *y, int64_t next) {
    constexpr auto &G = winograd<TILE>::G;
    vf half[3][TILE];
    for (int r = 0; r < 3; r++) {
        vf x[3];
        for (int s = 0; s < 3; s++, w += c) {
            float lane[LANES] = {};
            for (int l = 0; l < have; l++) lane[l] = w[(int64_t)l * 9 * c];
            memcpy(&x[s], lane, sizeof lane);
        }
        for (int j = 0; j < TILE; j++) half[r][j] = x[0] * G[j][0] + x[1] * G[j][1] + x[2] * G[j][2];
    }
    for (int i = 0; i < TILE; i++)
        for (int j = 0; j < TILE; j++, y += next) *(vf *)y = half[0][j] * G[i][0] + half[1][j] * G[i][1] + half[2][j] * G[i][2];
}

template <int TILE> static void winograd_tiles(const dsl_kernel *k) {
    const dsl_winograd *l = (const dsl_winograd *)k->in[1];
#pragma omp parallel for collapse(2) schedule(static)
    for (int o = 0; o < l->n; o += LANES)
        for (int cb = 0; cb < l->c / l->c_block; cb++)
            for (int i = 0; i < l->c_block; i++) {
                const int ob = o / l->n_block, c = cb * l->c_block + i;
                const int have = c >= k->c || o >= k->n ? 0 : k->n - o < LANES ? k->n - o : LANES;
                float *y = (float *)k->out[0] + ob / l->n_group * l->of_n_group + ob % l->n_group * l->of_n_block + o % l->n_block;
                y += cb / l->c_group * l->of_c_group + cb % l->c_group * l->of_c_block + i * l->of_c;
                winograd_filters<TILE>((const float *)k->in[0] + (have ? (int64_t)o * 9 * k->c + c : 0), k->c, have, y, l->next);
            }
}

static void winograd_weights(const dsl_kernel *k, const dsl_args *) {
    ((const dsl_winograd *)k->in[1])->tile == 4 ? winograd_tiles<4>(k) : winograd_tiles<6>(k);
}
