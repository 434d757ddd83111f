// What the tests call: activations, functions and random words, with no network around them.
#pragma once
#include "activation.h"
#include "draws.h"

template <class F> static inline void map(const float* x, float* y, long n, F f) {
  for (long i = 0; i < n; i += L) {
    v a;
    memcpy(&a, x + i, sizeof a);
    a = f(a);
    memcpy(y + i, &a, sizeof a);
  }
}

/// y = the value of an activation at x or, with `slope`, its slope there. n is a multiple of 16.
/// The kinds -1, -2, -3 are exp, log and log1p, and -4 and -5 the sine and cosine of 2 pi x, which have no slope here.
static void elementwise(int kind, int slope, const float* x, float* y, long n) {
  switch (kind) {
    case -1: return map(x, y, n, [](v a) { return exp(a); });
    case -2: return map(x, y, n, [](v a) { return log(a); });
    case -3: return map(x, y, n, [](v a) { return log1p(a); });
    case -4: return map(x, y, n, [](v a) { return turned(a).sine; });
    case -5: return map(x, y, n, [](v a) { return turned(a).cosine; });
  }
  with_activation(kind, [&](auto activation) {
    typedef decltype(activation) A;
    if (slope) map(x, y, n, [](v a) { return A::back(a, all(1.0f)); });
    else map(x, y, n, [](v a) { return A::value(a); });
  });
}

/// Threefry's words for keys and counters, all [word][16].
static void words_of(const int32_t* key, const int32_t* counter, int32_t* words) {
  for (int lane = 0; lane < 16; lane += L) {
    Key k;
    Words c;
    for (int i = 0; i < 4; i++) {
      memcpy(&k.of[i], key + 16 * i + lane, sizeof(vi));
      memcpy(&c.of[i], counter + 16 * i + lane, sizeof(vi));
    }
    k.complete();
    c = threefry(k, c);
    for (int i = 0; i < 4; i++) memcpy(words + 16 * i + lane, &c.of[i], sizeof(vi));
  }
}
