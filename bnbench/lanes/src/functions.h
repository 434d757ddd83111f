// exp, log and what activations need of them, for one number of every lane.
//
// The C library's functions differ between systems in their last bits, and a compiler may replace them by its own for
// vectors. These are sums, products, fma and quotients in a fixed order, so a lane's result depends on its number alone.
//
// Each function is brought to a short interval, where a polynomial takes over. A polynomial is the minimax fit of the
// function's relative error (least squares at 801 Chebyshev nodes, weighted anew until the error is level). Its coefficients
// are rounded to float from the lowest power up, and the others are fitted again after each.
//
// Errors are measured against float64: exp, log and log1p at every float, the others at every seventh. An ulp is the distance
// between the floats around the exact result. NaN gives NaN in all of them.
#pragma once
#include "lane.h"

constexpr float LN2_HIGH = 0x1.62e4p-1f;  // ln 2 in 15 bits: times any exponent of a float it is exact
constexpr float LN2_LOW = 0x1.7f7d1cp-20f;

static inline v absolute(v x) { return as_float(both(as_int(x), all(0x7fffffff))); }

/// x = k ln 2 + r with an integer k and |r| <= ln 2 / 2: exp(r) - 1, and k shifted to where a float has its exponent.
struct Reduced { v less_one; vi k; };

/// `low` is added to x, for an x known to more bits than a float has.
static inline Reduced reduce(v x, v low) {
  const v magic = all(0x1.8p23f);  // adding it rounds to an integer, which is then in the low bits
  v shifted = fma(x, all(0x1.715476p0f), magic);
  v k = shifted - magic;
  v r = fma(k, all(-LN2_LOW), fma(k, all(-LN2_HIGH), x)) + low;
  v p = all(0x1.9e77f4p-13f);
  p = fma(p, r, all(0x1.6d3a5ap-10f));
  p = fma(p, r, all(0x1.1112d6p-7f));
  p = fma(p, r, all(0x1.5554f8p-5f));
  p = fma(p, r, all(0x1.555554p-3f));
  p = fma(p, r, all(0.5f));
  return {fma(p, r * r, r), shift_left(as_int(shifted))};
}

/// exp(x + low) for x <= 88.72, within 1 ulp. Below the least normal float, 2^-126, it is 0: products with still smaller
/// numbers would be slow.
static inline v exp_negative(v x, v low) {
  Reduced e = reduce(x, low);
  v scaled = as_float(add(as_int(e.less_one + all(1.0f)), e.k));
  return where_larger(x, all(-87.33654f), scaled, relu(x));  // relu(x) is 0 here, or NaN
}
static inline v exp_negative(v x) { return exp_negative(x, all(0.0f)); }

/// exp(x), within 1 ulp: infinite above 88.72, where floats end, and 0 below 2^-126.
static inline v exp(v x) { return where_larger(x, all(88.72283f), all(INFINITY), exp_negative(x)); }

/// exp(x) - 1 for |x| <= 60, within 1.5 ulp, and 1 for x < 0. Near 0 it keeps the bits that exp(x) has not.
static inline v expm1(v x) {
  Reduced e = reduce(x, all(0.0f));
  v scale = as_float(add(e.k, all(0x3f800000)));
  return fma(scale, e.less_one, scale - all(1.0f));
}

/// k ln 2 + log(1 + m) for -1/4 <= m <= 1/2.
static inline v log_of_parts(v k, v m) {
  v p = all(0x1.341cdcp-5f);
  p = fma(p, m, all(-0x1.750662p-4f));
  p = fma(p, m, all(0x1.df1cap-4f));
  p = fma(p, m, all(-0x1.04ad32p-3f));
  p = fma(p, m, all(0x1.246386p-3f));
  p = fma(p, m, all(-0x1.5519d6p-3f));
  p = fma(p, m, all(0x1.999764p-3f));
  p = fma(p, m, all(-0x1.00006ep-2f));
  p = fma(p, m, all(0x1.55555ap-2f));
  v square = m * m;
  v rest = fma(p * m, square, k * all(LN2_LOW));
  return fma(k, all(LN2_HIGH), m + fma(square, all(-0.5f), rest));
}

/// log(x) for x >= 2^-24, infinity among them, within 1 ulp.
static inline v log(v x) {
  vi bits = as_int(x);
  vi k = shift_right(sub(bits, all(0x3f400000)));  // the exponent of x / 0.75, so that the rest is in [0.75, 1.5)
  v m = as_float(sub(bits, shift_left(k))) - all(1.0f);
  return where_larger(all(INFINITY), x, log_of_parts(of_int(k), m), x);
}

/// log(1 + x) for 0 <= x <= 1, within 1 ulp.
static inline v log1p(v x) {
  const v limit = all(0.5f);  // from there on (1 + x) / 2 - 1 is exact
  v k = where_larger(x, limit, all(1.0f), all(0.0f));
  v m = where_larger(x, limit, fma(x, all(0.5f), all(-0.5f)), x);
  return log_of_parts(k, m);
}

/// tanh(x), within 2.5 ulp.
static inline v tanh(v x) {
  v a = absolute(x);
  v e = expm1(all(2.0f) * where_larger(a, all(10.0f), all(10.0f), a));  // at 10 it has become 1
  v size = e / (all(2.0f) + e);
  return as_float(add(as_int(size), both(as_int(x), all((int)0x80000000))));  // with the sign of x
}

/// The normal distribution at x: the chance of a smaller number, (1 + erf(x / sqrt(2))) / 2, within 4.5 ulp, and
/// exp(-x^2 / 2), within 1.5 ulp. Computed by erf, the chance would lose all its bits for negative x, where erf is near -1.
struct Normal { v chance, bell; };

static inline Normal normal(v x) {
  v a = absolute(x);
  a = where_larger(a, all(15.0f), all(15.0f), a);  // the chance is 0 or 1 there, and no square overflows
  v half = a * all(-0.5f), h = a * half;
  v bell = exp_negative(h, fma(a, half, -h));  // h's own rounding can be 60 ulp of exp(h)
  // The tail is bell * p(u) / (a + 2.5) with u = a / (a + 2.5), where p is smooth up to infinity.
  v over = all(1.0f) / (a + all(2.5f)), u = a * over;
  v p = all(-0x1.4492aep-4f);
  p = fma(p, u, all(0x1.1c526ep-2f));
  p = fma(p, u, all(-0x1.3d9f1ap-2f));
  p = fma(p, u, all(0x1.15446ap-3f));
  p = fma(p, u, all(-0x1.302424p-3f));
  p = fma(p, u, all(0x1.c83dccp-5f));
  p = fma(p, u, all(0x1.2aecf4p-2f));
  p = fma(p, u, all(0x1.5b58ecp-3f));
  p = fma(p, u, all(-0x1.3e4ef2p0f));
  p = fma(p, u, all(1.25f));
  v tail = bell * (p * over);
  return {where_larger(x, all(0.0f), all(1.0f) - tail, tail), bell};
}

/// The sine and cosine of 2 pi x, for 0 <= x <= 1, within 2 ulp.
struct Turn { v sine, cosine; };

static inline Turn turned(v x) {
  const v magic = all(0x1.8p23f);
  v shifted = fma(x, all(4.0f), magic);
  v r = fma(x, all(4.0f), magic - shifted);  // what is left of the nearest quarter turn, exactly: |r| <= 1/2
  vi quarter = as_int(shifted);              // in the low bits
  v square = r * r;
  v s = all(-0x1.33199p-8f);
  s = fma(s, square, all(0x1.4680a4p-4f));
  s = fma(s, square, all(-0x1.4abc24p-1f));
  s = r * fma(s, square, all(0x1.921fb6p0f));
  v c = all(0x1.d4f7eep-11f);
  c = fma(c, square, all(-0x1.55b2b6p-6f));
  c = fma(c, square, all(0x1.03c1bp-2f));
  c = fma(c, square, all(-0x1.3bd3ccp0f));
  c = fma(c, square, all(1.0f));
  v odd = of_int(both(quarter, all(1))), half = all(0.5f);
  vi sine = as_int(where_larger(odd, half, c, s)), cosine = as_int(where_larger(odd, half, s, c));
  // Bit 1 becomes the sign.
  sine = different(sine, rotate<30>(both(quarter, all(2))));
  cosine = different(cosine, rotate<30>(both(add(quarter, all(1)), all(2))));
  return {as_float(sine), as_float(cosine)};
}
