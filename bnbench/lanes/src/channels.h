// Loops over values [position][C], and their sums by channel, which go on in double after at most RUN values in single
// precision.
#pragma once
#include "lane.h"

constexpr int RUN = 32;  // part of the bits

/// One double a lane.
struct Wide {
  double of[L];
  void add(v x) {
    float lanes[L];
    memcpy(lanes, &x, sizeof lanes);
    for (int i = 0; i < L; i++) of[i] += (double)lanes[i];
  }
  v rounded() const {
    float lanes[L];
    for (int i = 0; i < L; i++) lanes[i] = (float)of[i];
    v x;
    memcpy(&x, lanes, sizeof x);
    return x;
  }
};
static inline Wide wide(v x) {
  Wide w{};
  w.add(x);
  return w;
}

/// A number by channel, of four channels, in registers.
struct Four { v of[4]; };

/// A product and a sum by channel, likewise.
struct FourAffine {
  Four by, plus;
  v operator()(v x, int j) const { return fma(x, by.of[j], plus.of[j]); }
};

// The loops below go over values [position][C], four channels at a time: `begin(c)` gives a function of the value's place and
// of the channel's number among the four, which has what it needs of the channels in registers.

/// Calls it for every value.
template <class B> static inline void by_channel(long positions, int C, B begin) {
  for (int c = 0; c < C; c += 4) {
    auto f = begin(c);
    for (long n = 0; n < positions; n++) EACH(j, 4) f(n * C + c + j, j);
  }
}

/// Adds what it gives to sums[c].
template <class B> static inline void add_by_channel(long positions, int C, Wide* sums, B begin) {
  for (long from = 0; from < positions; from += RUN) {
    const long until = positions - from < RUN ? positions : from + RUN;
    for (int c = 0; c < C; c += 4) {
      auto term = begin(c);
      v s[4];
      EACH(j, 4) s[j] = all(0.0f);
      for (long n = from; n < until; n++) EACH(j, 4) s[j] = s[j] + term(n * C + c + j, j);
      EACH(j, 4) sums[c + j].add(s[j]);
    }
  }
}

/// Likewise with two sums: it gives one term and writes the other.
template <class B> static inline void add_two_by_channel(long positions, int C, Wide* sums, Wide* others, B begin) {
  for (long from = 0; from < positions; from += RUN) {
    const long until = positions - from < RUN ? positions : from + RUN;
    for (int c = 0; c < C; c += 4) {
      auto term = begin(c);
      v s[4], q[4];
      EACH(j, 4) s[j] = q[j] = all(0.0f);
      for (long n = from; n < until; n++)
        EACH(j, 4) {
          v other;
          s[j] = s[j] + term(n * C + c + j, j, &other);
          q[j] = q[j] + other;
        }
      EACH(j, 4) { sums[c + j].add(s[j]); others[c + j].add(q[j]); }
    }
  }
}
