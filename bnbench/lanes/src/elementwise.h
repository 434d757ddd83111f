// What the tests call: activations and functions over an array, with no network around them.
#pragma once
#include "activation.h"

template <class F> static inline void map(const float* x, float* y, long n, F f) {
  for (long i = 0; i < n; i += L) {
    v a;
    memcpy(&a, x + i, sizeof a);
    a = f(a);
    memcpy(y + i, &a, sizeof a);
  }
}

/// y = the value of an activation at x or, with `slope`, its slope there. n is a multiple of 16.
/// The kinds -1, -2, -3 are exp, log and log1p, which have no slope here.
static void elementwise(int kind, int slope, const float* x, float* y, long n) {
  switch (kind) {
    case -1: return map(x, y, n, [](v a) { return exp(a); });
    case -2: return map(x, y, n, [](v a) { return log(a); });
    case -3: return map(x, y, n, [](v a) { return log1p(a); });
  }
  with_activation(kind, [&](auto activation) {
    typedef decltype(activation) A;
    if (slope) map(x, y, n, [](v a) { return A::back(a, all(1.0f)); });
    else map(x, y, n, [](v a) { return A::value(a); });
  });
}
