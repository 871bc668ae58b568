// Distances between many float32 rows, their nearest centres and nearest neighbours: the host's part of the method, for big arrays.
#include "device.h"

// A block computes SIDE × SIDE distances, DEPTH dimensions at a time; a thread 4 × 4 of them.
constexpr int SIDE = 64, DEPTH = 16, ROW = SIDE + 4; // padded: the transposed stores would meet in the same banks

DEV void load_side(float (*to)[ROW], const float *x, i64 first, i64 count, i64 from, i64 d) {
    const int row = thread_id() / 4, column = thread_id() % 4 * 4;
    for (int i = 0; i < 4; i++) {
        const i64 at = from + column + i;
        to[column + i][row] = first + row < count && at < d ? x[(first + row) * d + at] : 0;
    }
}

// out [m, n] of row stride `stride`: squared Euclidean distances between the rows of a [m, d] and b [n, d], summed over the differences, so that
// equal rows give zero. 8·d/64 bytes and 3·d/2 instructions of arithmetic per distance.
BLOCK_KERNEL(distance_tile, const float *a, const float *b, float *out, i64 m, i64 n, i64 d, i64 stride) {
    SHARED float left[DEPTH][ROW] __attribute__((aligned(16))), right[DEPTH][ROW] __attribute__((aligned(16)));
    const i64 i0 = block_y() * SIDE, j0 = block_x() * SIDE;
    const int ty = thread_id() / 16 * 4, tx = thread_id() % 16 * 4;
    float sum[4][4] = {};
    for (i64 from = 0; from < d; from += DEPTH) {
        meet();
        load_side(left, a, i0, m, from, d);
        load_side(right, b, j0, n, from, d);
        meet();
        for (int e = 0; e < DEPTH; e++) {
            float u[4], v[4];
            load(&left[e][ty], u), load(&right[e][tx], v);
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) {
                    const float diff = u[i] - v[j];
                    sum[i][j] = mul_add(diff, diff, sum[i][j]);
                }
        }
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            if (i0 + ty + i < m && j0 + tx + j < n) out[(i0 + ty + i) * stride + j0 + tx + j] = sum[i][j];
}

// The nearest of k centres to each row of x [n, d], the first of equals, and its squared distance. With partial [grid.x, k, d] also the sums of
// the rows of each centre over each part of the rows; channel_sum_final adds them up. 4·(d + 2) bytes per row, and 4·d once more for the sums.
BLOCK_KERNEL(nearest_centres, const float *x, const float *centres, i32 *nearest, float *distance, float *partial, i64 n, i64 k, i64 d) {
    const rows r = part(n);
    const int lane = thread_id() % WARP;
    for (i64 row = r.from + thread_id() / WARP; row < r.to; row += BLOCK / WARP) {
        float least = 0;
        i32 best = -1;
        for (i64 c = 0; c < k; c++) {
            float sum = 0;
            for (i64 j = lane; j < d; j += WARP) {
                const float diff = x[row * d + j] - centres[c * d + j];
                sum = mul_add(diff, diff, sum);
            }
            sum = sum_warp(sum);
            if (best < 0 || sum < least) least = sum, best = (i32)c;
        }
        if (lane == 0) nearest[row] = best, distance[row] = least;
    }
    if (!partial) return;
    meet();
    float *mine = partial + block_x() * k * d;
    for (i64 j = thread_id(); j < d; j += BLOCK) { // a column is one thread's
        for (i64 c = 0; c < k; c++) mine[c * d + j] = 0;
        for (i64 row = r.from; row < r.to; row++) mine[nearest[row] * d + j] += x[row * d + j];
    }
}

// A column of a row of distances; the order is by value, then by column.
struct place {
    float v;
    i32 j; // -1: none
    MEMBER bool before(const place &o) const { return j >= 0 && (o.j < 0 || v < o.v || (v == o.v && j < o.j)); }
};

// The first place behind `last` in a row of n values, for all threads of the block; column `skip` is left out.
DEV place next_place(const float *row, i64 n, i64 skip, place last) {
    SHARED float values[BLOCK / WARP], columns[BLOCK / WARP];
    place mine = {0, -1};
    for (i64 j = thread_id(); j < n; j += BLOCK) {
        const place p = {row[j], (i32)j};
        const bool behind = last.j < 0 ? p.v == p.v : last.before(p); // NaNs are behind nothing
        if (behind && j != skip && p.before(mine)) mine = p;
    }
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        const float v = lane_xor(mine.v, mask), j = lane_xor(__builtin_bit_cast(float, mine.j), mask);
        const place other = {v, __builtin_bit_cast(i32, j)};
        if (other.before(mine)) mine = other;
    }
    meet();
    if (thread_id() % WARP == 0) values[thread_id() / WARP] = mine.v, columns[thread_id() / WARP] = __builtin_bit_cast(float, mine.j);
    meet();
    for (int w = 0; w < BLOCK / WARP; w++) {
        const place other = {values[w], __builtin_bit_cast(i32, columns[w])};
        if (other.before(mine)) mine = other;
    }
    return mine;
}

constexpr int MOST_NEIGHBOURS = 64;

// Merges a tile of distances [m, n], whose column j is item first + j, into running lists values, indices [m, k] of the k ≤ 64 nearest in ascending
// order, which are taken as empty if fresh. Item self + row is left out of a row's list if self ≥ 0. Tiles come in ascending order: of equal
// distances the lower item comes first. Short lists end in +Inf and -1. A block per row; 4 bytes per distance, read once per item that enters.
BLOCK_KERNEL(top_k, const float *tile, float *values, i32 *indices, i64 n, i64 k, i64 first, i64 self, i64 fresh) {
    SHARED float value[MOST_NEIGHBOURS];
    SHARED i32 index[MOST_NEIGHBOURS];
    const i64 row = block_x(), skip = self < 0 ? -1 : self + row - first;
    const int t = thread_id();
    if (t < k) {
        value[t] = fresh ? __builtin_huge_valf() : values[row * k + t];
        index[t] = fresh ? -1 : indices[row * k + t];
    }
    meet();
    const float worst = value[k - 1];
    place next = next_place(tile + row * n, n, skip, {0, -1});
    int old = 0;
    for (int at = 0; at < k; at++) {
        const bool enters = next.j >= 0 && next.v < worst && next.v < value[old];
        if (t == 0) {
            values[row * k + at] = enters ? next.v : value[old];
            indices[row * k + at] = enters ? (i32)first + next.j : index[old];
        }
        if (enters) next = next_place(tile + row * n, n, skip, next);
        else old++;
    }
}
