// The inner loops: tiles of P x 4 accumulators, all in registers. Weights of layers of `O` outputs are kept in blocks of
// four outputs: weight (o, i) is at [o / 4][i][o % 4], so what a tile reads of a block is one stretch of memory.
#pragma once
#include "lane.h"

/// Where a sum starts and where it goes. Row p goes to to[p * step + j]: it starts from `start` (four numbers; from zero if
/// null), `more` is added (laid out as `to`), and with a `rate`, `to` moves by rate * sum instead of becoming it. Long
/// products are summed in parts, each from zero: sqrt(64) + sqrt(parts) roundings instead of sqrt(terms).
struct Sum {
  v* to;
  long step;
  const v *start, *more, *rate;
};

template <int P> INLINE void begin(v (&acc)[P][4], const Sum& s) {
  v b[4];
  OVER(j, 4, b[j] = all(0.0f));
  if (s.start) { const v* from = s.start; OVER(j, 4, b[j] = from[j]); }
  OVER(j, 4, b[j] = in_register(b[j]));
  OVER(p, P, OVER(j, 4, acc[p][j] = b[j]));
}

/// One term: acc[p][j] += x(p) * w(j). Four of w and one of x are in registers beside the sums or, where registers are
/// few, P of x and one of w.
template <int P, class X, class W> INLINE void term(v (&acc)[P][4], X x, W w) {
  if constexpr (MAXP > 3) {
    v b[4];
    OVER(j, 4, b[j] = in_register(w(j)));
    OVER(p, P, v a = in_register(x(p)); OVER(j, 4, acc[p][j] = fma(a, b[j], acc[p][j])));
  } else {
    v a[P];
    OVER(p, P, a[p] = in_register(x(p)));
    OVER(j, 4, v b = in_register(w(j)); OVER(p, P, acc[p][j] = fma(a[p], b, acc[p][j])));
  }
}
#define AT(i, value) [&](auto i) ALWAYS { return value; }

template <int P> INLINE void end(v (&acc)[P][4], const Sum& s) {
  v* to = s.to;
  const long step = s.step;
  if (s.more) { const v* m = s.more; OVER(p, P, OVER(j, 4, acc[p][j] = acc[p][j] + m[p * step + j]); in_order()); }
  if (s.rate) { const v rate = *s.rate; OVER(p, P, OVER(j, 4, acc[p][j] = fma(rate, acc[p][j], to[p * step + j])); in_order()); }
  OVER(p, P, OVER(j, 4, to[p * step + j] = acc[p][j]); in_order());
}

/// Memory that is read or written next, two stretches of it. The weights of a wide layer and the maps of a batch lie in main
/// memory, which answers after half a tile's time: so with each term of a tile one vector of what comes next is called nearer.
struct Ahead {
  const v* from;
  long left;
  const v* then;
  long then_left;

  /// What a tile of n terms calls.
  const v* take(long n) {
    if (left < n) { from = then; left = then_left; then_left = 0; }
    const v* at = from;
    if (left >= n) { from += n; left -= n; }
    return at;
  }
};

/// Forward: sum over runs and k of x[p * xs + k] * w[4 * k + j]; `soon` is called nearer.
struct Run { const v *x, *w; };
template <int P> NOINLINE static void tile_forward(const Run* runs, int count, int K, long xs, const Sum& sum, const v* soon) {
  v acc[P][4];
  begin<P>(acc, sum);
  for (int r = 0; r < count; r++) {
    const v *x = runs[r].x, *w = runs[r].w;
    for (int k = 0; k < K; k++, w += 4, x++) {
      __builtin_prefetch(soon++, 0, 2);
      term<P>(acc, AT(p, x[p * xs]), AT(j, w[j]));
    }
  }
  end<P>(acc, sum);
}

/// By the input: sum over blocks of outputs of g[p * gs + o] * w(o, j), four inputs j; `ws` from block to block.
template <int P> NOINLINE static void tile_by_input(const v* g, long gs, const v* w, long ws, int blocks, const Sum& sum) {
  v acc[P][4];
  begin<P>(acc, sum);
  for (int block = 0; block < blocks; block++, w += ws, g += 4)
    for (int q = 0; q < 4; q++) term<P>(acc, AT(p, g[p * gs + q]), AT(j, w[4 * j + q]));
  end<P>(acc, sum);
}

/// By the weight: sum over three nested loops of x[p] * g[j], for four outputs j; `soon` is called nearer.
struct Loop { int n; long x, g; };  // times, and how far x and g move
template <int P> NOINLINE static void tile_by_weight(const v* x2, const v* g2, const Loop* loops, const Sum& sum, const v* soon) {
  v acc[P][4];
  begin<P>(acc, sum);
  const Loop outer = loops[0], middle = loops[1], inner = loops[2];
  for (int i = 0; i < outer.n; i++, x2 += outer.x, g2 += outer.g) {
    const v *x1 = x2, *g1 = g2;
    for (int j = 0; j < middle.n; j++, x1 += middle.x, g1 += middle.g) {
      const v *x = x1, *g = g1;
      for (int n = 0; n < inner.n; n++, x += inner.x, g += inner.g) {
        __builtin_prefetch(soon++, 0, 2);
        term<P>(acc, AT(p, x[p]), AT(j, g[j]));
      }
    }
  }
  end<P>(acc, sum);
}
