// Batch norm of C channels. Sums over a batch go on in double after at most RUN values in single precision.
#pragma once
#include "optimizer.h"

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

/// A number by channel, for the four channels from c on, in registers.
struct Four {
  v of[4];
  Four(const v* numbers, int c) { EACH(j, 4) of[j] = in_register(numbers[c + j]); }
};

/// A product and a sum by channel, likewise.
struct FourAffine {
  Four by, plus;
  FourAffine(const v* scale, const v* shift, int c) : by(scale, c), plus(shift, c) {}
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

enum Statistics { OF_BATCH = 0, RUNNING = 1, GIVEN = 2 };

struct BatchNorm {
  int C = 0;
  bool unbiased = true;     // whether the running variance takes the divisor N - 1
  bool learns = true;       // whether there are gamma and beta
  double eps = 1e-5;
  double momentum[L];       // the weight of a new batch in the running statistics
  Parameter gamma, beta;
  v *running_mean, *running_var, *given_mean, *given_var;
  v *scale, *shift;         // y = x * scale + shift
  v *center;                // the mean, rounded
  v *slope, *constant;      // dx = dy * scale + x * slope + constant
  Wide *mean, *var;         // what the batch is normalized by
  Wide *sums, *others, *part;
  double values = 0;        // of a channel that `mean` and `var` are of so far

  void take(Arena& memory, int channels, int moments) {
    C = channels;
    gamma.take(memory, C, moments);
    beta.take(memory, C, moments);
    v** const vectors[] = {&running_mean, &running_var, &given_mean, &given_var, &scale, &shift, &center, &slope, &constant};
    for (v** vector : vectors) *vector = memory.take<v>(C);
    Wide** const sums_of[] = {&mean, &var, &sums, &others, &part};
    for (Wide** array : sums_of) *array = memory.take<Wide>(C);
  }

  /// Normalizes values of the four channels from c on.
  FourAffine normalize(int c) const { return FourAffine(scale, shift, c); }

  // ---- forward ----

  void begin_batch() { values = 0; }

  /// Takes a part of the batch, of `positions` values a channel, which `x(at)` gives. The part's mean and variance are
  /// found in two passes, which lose nothing where the mean is far from zero, and then joined with the parts before.
  /// Until `end_batch`, `var` is the sum of squared distances from the mean.
  template <class F> void add_part(long positions, F x) {
    const double n = (double)positions, before = values, together = before + n;
    memset(sums, 0, sizeof(Wide) * C);
    memset(others, 0, sizeof(Wide) * C);
    add_by_channel(positions, C, sums, [&](int) { return [&](long at, int) { return x(at); }; });
    for (int c = 0; c < C; c++) {
      for (int i = 0; i < L; i++) part[c].of[i] = sums[c].of[i] / n;
      center[c] = part[c].rounded();
    }
    add_by_channel(positions, C, others, [&](int c) {
      return [&, middle = Four(center, c)](long at, int j) { const v far = x(at) - middle.of[j]; return far * far; };
    });
    for (int c = 0; c < C; c++) {
      const Wide middle = wide(center[c]);
      for (int i = 0; i < L; i++) {
        const double off = part[c].of[i] - middle.of[i], squares = others[c].of[i] - n * off * off;
        if (before == 0) {
          mean[c].of[i] = part[c].of[i];
          var[c].of[i] = squares;
        } else {
          const double apart = part[c].of[i] - mean[c].of[i];
          mean[c].of[i] += apart * n / together;
          var[c].of[i] += squares + apart * apart * before * n / together;
        }
      }
    }
    values = together;
  }

  void end_batch() {
    for (int c = 0; c < C; c++)
      for (int i = 0; i < L; i++) {
        const double sum = var[c].of[i];
        var[c].of[i] = (sum < 0 ? 0 : sum) / values;  // of NaN: NaN
      }
    find_scale();
  }

  /// Blends the batch's statistics into the running ones. The divisor N - 1 variance of one value does not exist.
  void blend() {
    for (int c = 0; c < C; c++) {
      Wide m = wide(running_mean[c]), q = wide(running_var[c]);
      for (int i = 0; i < L; i++) {
        const double keep = 1 - momentum[i];
        m.of[i] = keep * m.of[i] + momentum[i] * mean[c].of[i];
        if (unbiased && values == 1) continue;
        q.of[i] = keep * q.of[i] + momentum[i] * (unbiased ? var[c].of[i] * values / (values - 1) : var[c].of[i]);
      }
      running_mean[c] = m.rounded();
      running_var[c] = q.rounded();
    }
  }

  void normalize_by(const v* means, const v* vars) {
    values = 0;
    for (int c = 0; c < C; c++) { mean[c] = wide(means[c]); var[c] = wide(vars[c]); }
    find_scale();
  }

  // ---- backward: sums[c] is the sum of dy, others[c] that of dy * (x - center[c]) ----

  void begin_backward() {
    memset(sums, 0, sizeof(Wide) * C);
    memset(others, 0, sizeof(Wide) * C);
  }

  /// From the sums to the coefficients of dx and to the gradients of gamma and beta.
  void end_sums(v* d_gamma, v* d_beta) {
    for (int c = 0; c < C; c++) {
      const Wide weight = wide(gamma.value[c]), middle = wide(center[c]);
      Wide by{}, plus{}, of_gamma{};
      for (int i = 0; i < L; i++) {
        const double m = mean[c].of[i], r = inverse_sd(c, i), sum = sums[c].of[i], scaled = weight.of[i] * r;
        of_gamma.of[i] = r * (others[c].of[i] - (m - middle.of[i]) * sum);
        by.of[i] = -scaled * r * of_gamma.of[i] / values;
        plus.of[i] = -scaled * sum / values - by.of[i] * m;
      }
      slope[c] = by.rounded();
      constant[c] = plus.rounded();
      d_gamma[c] = of_gamma.rounded();
      d_beta[c] = sums[c].rounded();
    }
  }

 private:
  /// Of one value the normalization is 0 whatever the value, and so is its gradient.
  double inverse_sd(int c, int i) const { return values == 1 ? 0 : 1 / sqrt(var[c].of[i] + eps); }

  void find_scale() {
    for (int c = 0; c < C; c++) {
      const Wide weight = wide(gamma.value[c]), offset = wide(beta.value[c]);
      Wide by{}, plus{};
      for (int i = 0; i < L; i++) {
        by.of[i] = weight.of[i] * inverse_sd(c, i);
        plus.of[i] = offset.of[i] - mean[c].of[i] * by.of[i];
      }
      center[c] = mean[c].rounded();
      scale[c] = by.rounded();
      shift[c] = plus.rounded();
    }
  }
};
