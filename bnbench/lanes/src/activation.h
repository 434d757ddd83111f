// Activations and their slopes, with torch's default settings.
//
// Slopes are computed from the input again: a network keeps the inputs for batch norm, and keeping outputs as well would
// take the memory twice.
#pragma once
#include "functions.h"

enum ActivationKind {
  IDENTITY = 0, RELU = 1, LEAKY_RELU = 2, TANH = 3, SIGMOID = 4, ELU = 5, GELU = 6, SILU = 7, SOFTPLUS = 8
};

/// value(x) is the output. back(x, d) is the gradient d of the output times the slope at x: the gradient of the input.
/// Both are NaN where x is. `zero_at_zero` says whether value(0) is 0, so that padding may be put in before it.
///
/// Values are within 1 ulp of the exact ones (ELU, leaky ReLU), 2 (softplus), 2.5 (tanh, sigmoid), 3.5 (SiLU) or 5 (GELU);
/// slopes within 1 (ELU, leaky ReLU), 2.5 (softplus) or 4.5 (the others). The slopes of GELU and SiLU are a sum that goes
/// through 0, and the ulp meant is that of its terms. Where exp(-|x|) or GELU's exp(-x^2 / 2) is below 2^-126 it is taken
/// for 0, which leaves out 88 * 2^-126 at most. At an infinite x, SiLU and GELU have torch's NaN for 0 times infinity.
template <int kind> struct Activation;

template <> struct Activation<IDENTITY> {
  static constexpr bool zero_at_zero = true;
  static inline v value(v x) { return x; }
  static inline v back(v, v d) { return d; }  // also where x is NaN, as in torch
};

template <> struct Activation<RELU> {
  static constexpr bool zero_at_zero = true;
  static inline v value(v x) { return relu(x); }
  static inline v back(v x, v d) { return where_larger(x, all(0.0f), d, relu(x)); }  // relu(x) is 0 here, or NaN
};

template <> struct Activation<LEAKY_RELU> {
  static constexpr bool zero_at_zero = true;
  static inline v value(v x) { return where_larger(x, all(0.0f), x, x * all(0.01f)); }
  static inline v back(v x, v d) { return where_larger(x, all(0.0f), d, fma(d, all(0.01f), relu(x))); }
};

template <> struct Activation<TANH> {
  static constexpr bool zero_at_zero = true;
  static inline v value(v x) { return tanh(x); }
  /// With e = exp(-2 |x|) the slope is 4 e / (1 + e)^2, which keeps its bits where 1 - tanh(x)^2 loses them.
  static inline v back(v x, v d) {
    v e = exp_negative(all(-2.0f) * absolute(x)), sum = all(1.0f) + e;
    return d * (all(4.0f) * e / (sum * sum));
  }
};

/// 1 / (1 + exp(-x)) and exp(-|x|), which cannot overflow.
struct Logistic { v e, value; };
static inline Logistic logistic(v x) {
  v e = exp_negative(-absolute(x));
  return {e, where_larger(x, all(0.0f), all(1.0f), e) / (all(1.0f) + e)};
}

template <> struct Activation<SIGMOID> {
  static constexpr bool zero_at_zero = false;
  static inline v value(v x) { return logistic(x).value; }
  static inline v back(v x, v d) {
    v e = exp_negative(-absolute(x)), sum = all(1.0f) + e;
    return d * (e / (sum * sum));
  }
};

template <> struct Activation<ELU> {
  static constexpr bool zero_at_zero = true;
  static inline v value(v x) { return where_larger(x, all(0.0f), x, expm1(larger(all(-60.0f), x))); }  // -1 long before -60
  static inline v back(v x, v d) { return where_larger(x, all(0.0f), d, d * exp_negative(x)); }
};

template <> struct Activation<GELU> {
  static constexpr bool zero_at_zero = true;
  static inline v value(v x) { return x * normal(x).chance; }
  static inline v back(v x, v d) {
    Normal n = normal(x);
    return d * fma(x * all(0.398942280f), n.bell, n.chance);  // 1 / sqrt(2 pi)
  }
};

template <> struct Activation<SILU> {
  static constexpr bool zero_at_zero = true;
  static inline v value(v x) { return x * logistic(x).value; }
  static inline v back(v x, v d) {
    Logistic s = logistic(x);
    v other = where_larger(x, all(0.0f), s.e, all(1.0f)) / (all(1.0f) + s.e);  // 1 - s.value
    return d * (s.value * fma(x, other, all(1.0f)));
  }
};

/// Torch returns x itself above 20. The sum below is the same: what it adds there is less than half an ulp of x.
template <> struct Activation<SOFTPLUS> {
  static constexpr bool zero_at_zero = false;
  static inline v value(v x) { return relu(x) + log1p(exp_negative(-absolute(x))); }
  static inline v back(v x, v d) { return d * logistic(x).value; }
};

/// Calls f with the activation as a type: f(Activation<kind>()).
template <class F> static inline void with_activation(int kind, F f) {
  switch (kind) {
#define CASE(k) case k: return f(Activation<k>())
    CASE(IDENTITY); CASE(RELU); CASE(LEAKY_RELU); CASE(TANH); CASE(SIGMOID); CASE(ELU); CASE(GELU); CASE(SILU);
    CASE(SOFTPLUS);
#undef CASE
  }
}
