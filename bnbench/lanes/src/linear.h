// Linear layers. A batch is [example][feature]; weights are in blocks of four outputs, see tiles.h.
#pragma once
#include "optimizer.h"
#include "tiles.h"

// Both are part of the bits.
constexpr int DEPTH = 48;  // terms of a product at a time, so that a tile's operands stay in the first cache
constexpr int BATCH = 64;  // examples at a time where a weight's gradient is summed

/// The examples that a layer reads: numbers, or bytes of images that become numbers as they are read.
struct Rows {
  const v* numbers = nullptr;
  const uint8_t* bytes = nullptr;              // [example][stride][L]
  long stride = 0;                             // features of an example
  const v *scale = nullptr, *shift = nullptr;  // of bytes, by image channel
  long positions = 1;                          // pixels of an image channel

  /// Features [first, first + count) of n examples from `example` on, and in `step` the distance between examples.
  /// Bytes become numbers in `room`.
  const v* block(long example, int n, int first, int count, v* room, long* step) const {
    if (numbers) { *step = stride; return numbers + example * stride + first; }
    for (int i = 0; i < count;) {
      const long channel = (first + i) / positions, end = (channel + 1) * positions - first;
      const int until = end < count ? (int)end : count;
      const v by = scale[channel], plus = shift[channel];
      for (int a = 0; a < n; a++) {
        const uint8_t* from = bytes + ((example + a) * stride + first) * L;
        for (int j = i; j < until; j++) room[a * (count + 1) + j] = fma(of_bytes(from + j * L), by, plus);
      }
      i = until;
    }
    *step = count + 1;  // rows a power of two apart would push each other out of the cache
    return room;
  }
};

/// The products of row n with the rows m … m + 3, all of numbers.
static inline void products(const Rows& rows, int n, int m, v* four) {
  const v *a = rows.numbers + n * rows.stride, *b = rows.numbers + m * rows.stride;
  EACH(j, 4) four[j] = all(0.0f);
  for (long k0 = 0; k0 < rows.stride; k0 += DEPTH) {
    const long end = k0 + DEPTH < rows.stride ? k0 + DEPTH : rows.stride;
    v sum[4];
    OVER(j, 4, sum[j] = all(0.0f));
    for (long k = k0; k < end; k++) OVER(j, 4, sum[j] = fma(a[k], b[j * rows.stride + k], sum[j]));
    EACH(j, 4) four[j] = four[j] + sum[j];
  }
}

struct Linear {
  int I = 0, O = 0;  // inputs, and outputs padded to a multiple of four

  /// Vectors that `room` needs below.
  long room() const { return (long)BATCH * (DEPTH + 1) + (long)DEPTH * O + 4L * I; }

  void forward(const v* weight, const v* bias, const Rows& x, int N, v* y, v* room) const {
    for (int g0 = 0; g0 < N; g0 += BATCH)
      for (int k0 = 0; k0 < I; k0 += DEPTH) {
        const int K = smaller(DEPTH, I - k0), n = smaller(BATCH, N - g0);
        long xs;
        const v* a = x.block(g0, n, k0, K, room, &xs);
        for (int o = 0; o < O; o += 4) {
          const v *part = weight + (long)o * I + 4 * k0, *next = o + 4 < O ? part + 4L * I : weight + 4 * (k0 + DEPTH);
          in_tiles(n, [&](int n0, auto P) {
            const Run run{a + n0 * xs, part};
            v* to = y + (long)(g0 + n0) * O + o;
            const v* soon = next + (long)smaller(n0 / P, 3) * K;
            tile_forward<P>(&run, 1, K, xs, {to, O, k0 || !bias ? nullptr : bias + o, k0 ? to : nullptr, nullptr}, soon);
          });
        }
      }
  }

  /// The inputs' gradient from the outputs' gradient g. The inputs are a multiple of four: no image is asked for one.
  void by_input(const v* weight, const v* g, int N, v* dx) const {
    for (int g0 = 0; g0 < N; g0 += BATCH)
      for (int o0 = 0; o0 < O; o0 += DEPTH) {
        const int K = smaller(DEPTH, O - o0);
        in_tiles(smaller(BATCH, N - g0), [&](int n0, auto P) {
          const v* from = g + (long)(g0 + n0) * O + o0;
          for (int i = 0; i < I; i += 4) {
            v* to = dx + (long)(g0 + n0) * I + i;
            tile_by_input<P>(from, O, weight + (long)o0 * I + 4 * i, 4 * I, K / 4, {to, I, nullptr, o0 ? to : nullptr, nullptr});
          }
        });
      }
  }

  /// The optimizer's step by the gradient of the weights.
  void update(const Parameter& weight, const Rows& x, const v* g, int N, const Optimizer& optimizer, v* room) const {
    if (x.bytes) update_by_inputs(weight, x, g, N, optimizer, room);
    else update_by_outputs(weight, x, g, N, optimizer, room);
  }

 private:
  /// Plain SGD's step by one example, whose products are too few for a tile. The bits are those of tiles.
  void move(v* w, const v* x, const v* g, v minus_lr) const {
    for (int o = 0; o < O; o += 4) {
      v by[4];
      OVER(j, 4, by[j] = in_register(g[o + j]));
      for (int i = 0; i < I; i++, w += 4) OVER(j, 4, w[j] = fma(minus_lr, x[i] * by[j], w[j]));
    }
  }

  /// DEPTH inputs after the others, so that bytes become numbers once. Plain SGD moves a weight where its gradient's sum
  /// ends, so that the gradient is never stored.
  void update_by_inputs(const Parameter& weight, const Rows& x, const v* g, int N, const Optimizer& optimizer, v* room) const {
    const bool plain = optimizer.is_plain();
    v* sums = room + BATCH * (DEPTH + 1);
    for (int k0 = 0; k0 < I; k0 += DEPTH)
      for (int n0 = 0; n0 < N; n0 += BATCH) {
        const int K = smaller(DEPTH, I - k0), n = smaller(BATCH, N - n0);
        const bool last = n0 + n == N, descends = plain && last;
        long xs;
        const v* a = x.block(n0, n, k0, K, room, &xs);
        const Loop loops[3] = {{1, 0, 0}, {1, 0, 0}, {n, xs, O}};
        for (int o = 0; o < O; o += 4) {
          const long at = (long)o * I + 4 * k0;
          v* sum = sums + (N <= BATCH ? 0 : (long)o * DEPTH);
          in_tiles(K, [&](int i0, auto P) {
            v *part = sum + 4 * i0, *to = descends ? weight.value + at + 4 * i0 : part;
            const v* soon = !descends ? part : i0 + P < K ? to + 4 * P : weight.value + at + 4L * I;
            tile_by_weight<P>(a + i0, g + (long)n0 * O + o, loops, {to, 4, nullptr, n0 ? part : nullptr, descends ? &optimizer.minus_lr : nullptr}, soon);
          });
          if (last && !plain) optimizer.update(weight, at, sum, 4 * K);
        }
      }
  }

  /// Four outputs after the others, along the weights' memory, of which an optimizer may read and write much.
  void update_by_outputs(const Parameter& weight, const Rows& x, const v* g, int N, const Optimizer& optimizer, v* room) const {
    const bool plain = optimizer.is_plain();
    if (plain && N == 1) return move(weight.value, x.numbers, g, optimizer.minus_lr);
    for (int o = 0; o < O; o += 4) {
      for (int n0 = 0; n0 < N; n0 += BATCH) {
        const int n = smaller(BATCH, N - n0);
        const bool descends = plain && n0 + n == N;
        const Loop loops[3] = {{1, 0, 0}, {1, 0, 0}, {n, x.stride, O}};
        in_tiles(I, [&](int i0, auto P) {
          v *sum = room + 4 * i0, *to = descends ? weight.value + (long)o * I + 4 * i0 : sum;
          tile_by_weight<P>(x.numbers + n0 * x.stride + i0, g + (long)n0 * O + o, loops, {to, 4, nullptr, n0 ? sum : nullptr, descends ? &optimizer.minus_lr : nullptr}, to + 4 * P);
        });
      }
      if (!plain) optimizer.update(weight, (long)o * I, room, 4L * I);
    }
  }
};
