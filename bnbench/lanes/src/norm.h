// Norms. What is standardized together are the values of a slice of the batch in a group of channels: of all examples in a
// channel (batch norm), of some examples (ghost batch norm), or of one example in one channel, some or all (instance, group
// and layer norm; RMS norm does not subtract the mean). Then each channel is scaled and shifted.
#pragma once
#include "channels.h"
#include "functions.h"
#include "optimizer.h"

enum Statistics { OF_BATCH = 0, RUNNING = 1, GIVEN = 2 };

/// What becomes of a normalized value of channel j of four: itself, the threshold of its channel if that is larger, or itself
/// with noise, or clamped; `at` is its place in the stretch of values that is passed. `back` turns a gradient of that into one of
/// the value y.
struct Unchanged {
  v operator()(v y, long, int) const { return y; }
  v back(v d, v, long) const { return d; }
};
struct Noisy {
  const v *by, *plus;
  v operator()(v y, long at, int) const { return fma(y, by[at], plus[at]); }
  v back(v d, v, long at) const { return d * by[at]; }
};
struct Clamped {
  v most;
  v operator()(v y, long, int) const {
    const v less = larger(all(0.0f) - most, y);  // of NaN: NaN
    return where_larger(less, most, most, less);
  }
  v back(v d, v y, long) const { return where_larger(absolute(y), most, all(0.0f), d); }
};
struct Cut {
  Four least;
  v operator()(v y, long, int j) const { return larger(least.of[j], y); }  // of NaN: NaN
  /// The share of the gradient that is y's, a half where both are equal, as torch has it; the rest is the threshold's.
  v share(v y, int j) const { return where_larger(y, least.of[j], all(1.0f), where_larger(least.of[j], y, all(0.0f), all(0.5f))); }
};

struct Norm {
  int channels = 0, C = 0;   // of the layer, and padded to a multiple of four
  int group = 1, groups = 0; // channels that are standardized together, and how many such groups there are
  bool centered = true;      // whether the mean is subtracted; if not, `var` is the mean square
  bool thresholds = false;   // whether, as in filter response norm, it learns a part of eps, and a least output
  bool unbiased = true;      // whether the running variance takes the divisor N - 1
  bool learns = true;        // whether there are gamma and beta
  double eps = 1e-5;
  double r_max = 0, d_max = 0;  // of batch renorm, which keeps a running deviation as `running_var`; else 0
  int warmup_steps = 0;         // over which its limits grow from 1 and 0
  bool online = false;          // whether it standardizes each example by those before it, and its gradient likewise
  double keep = 0, keep_back = 0, clamp = 0;  // of online norm: the weights of the old statistics and errors; the largest output
  double momentum[L];        // the weight of a new batch in the running statistics
  Parameter gamma, beta, learned_eps, threshold;
  v *running_mean, *running_var, *given_mean, *given_var;
  v *error_along_y, *error_along_one;  // of online norm's gradient
  long together = LONG_MAX;  // positions of a slice
  // By slice and group. One group more, of zeros, is that of channels that only fill a block of four.
  v *scale, *shift;          // y = x * scale + shift; where groups have several channels, without gamma and beta
  v *center;                 // the mean, rounded
  v *slope, *constant;       // dx = dy * gamma * scale + x * slope + constant; where groups have one, gamma is in scale
  Wide *mean, *var;          // by which it standardizes
  Wide *own_mean, *own_var;  // of online norm: those of the slice, an example, itself
  // Of the slice of which parts are being taken: by channel, and by group.
  Wide *sums, *others, *part, *squares, *inverse_sd;
  Wide *of_gamma, *of_beta, *of_eps, *of_threshold;  // the gradients, of all slices so far
  int* group_of;             // by channel
  Wide *r, *d;               // batch renorm's corrections of the only slice
  Wide *past_mean, *past_var, *along_y, *along_one;  // online norm's statistics and errors after the examples so far
  double r_limit = 0, d_limit = 0;
  bool corrects = false;     // whether this pass is corrected by them
  long taken = 0;            // positions of the slice so far
  bool fixed = false;        // whether the statistics are constants
  const v *noise_by = nullptr, *noise_plus = nullptr;  // of a training step with noise, [position][C]

  void take(Arena& memory, int real, int padded, int together_channels, int slices, int moments) {
    channels = real;
    C = padded;
    group = together_channels;
    groups = channels / group;
    Parameter* const parameters[] = {&gamma, &beta, &learned_eps, &threshold};
    for (Parameter* parameter : parameters) parameter->take(memory, C, moments);
    v** const by_channel[] = {&running_mean, &running_var, &given_mean, &given_var, &error_along_y, &error_along_one};
    for (v** array : by_channel) *array = memory.take<v>(C);
    const size_t all_groups = (size_t)slices * (groups + 1);
    v** const by_group[] = {&scale, &shift, &center, &slope, &constant};
    for (v** array : by_group) *array = memory.take<v>(all_groups);
    mean = memory.take<Wide>(all_groups);
    var = memory.take<Wide>(all_groups);
    own_mean = memory.take<Wide>(online ? all_groups : 0);
    own_var = memory.take<Wide>(online ? all_groups : 0);
    Wide** const sums_of[] = {&sums, &others, &part, &squares, &inverse_sd, &of_gamma, &of_beta, &of_eps, &of_threshold, &r, &d, &past_mean, &past_var, &along_y, &along_one};
    for (Wide** array : sums_of) *array = memory.take<Wide>(C);
    group_of = memory.take<int>(C);
  }

  /// Before the first pass, once there is memory.
  void fill() {
    for (int c = 0; c < C; c++) {
      gamma.value[c] = all(1.0f);
      group_of[c] = c < channels ? c / group : groups;
    }
  }

  /// Cuts positions of the batch where slices end: f(slice, first position, positions).
  template <class F> void by_slice(long first, long positions, F f) const {
    for (const long end = first + positions; first < end;) {
      const long rest = together - first % together, here = rest < end - first ? rest : end - first;
      f((int)(first / together), first, here);
      first += here;
    }
  }

  /// Normalizes values of the four channels from c on.
  FourAffine normalize(int slice, int c) const {
    FourAffine y{four(scale, slice, c), four(shift, slice, c)};
    if (group > 1)
      EACH(j, 4) {
        y.plus.of[j] = fma(y.plus.of[j], gamma.value[c + j], beta.value[c + j]);
        y.by.of[j] = y.by.of[j] * gamma.value[c + j];
      }
    return y;
  }
  /// Calls f(end), where end(c) gives what becomes of normalized values of the four channels from c on, from position
  /// `first` on.
  template <class F> void with_end(long first, F f) const {
    if (thresholds) f([this](int c) { return Cut{of_channels(threshold.value, c)}; });
    else with_plain_end(first, [&](auto end) { f([=](int) { return end; }); });
  }
  /// Calls f with what becomes of normalized values without a threshold, likewise.
  template <class F> void with_plain_end(long first, F f) const {
    if (online) f(Clamped{all((float)clamp)});
    else if (noise_by) f(Noisy{noise_by + first * C, noise_plus + first * C});
    else f(Unchanged());
  }
  static Four of_channels(const v* numbers, int c) {
    Four four;
    EACH(j, 4) four.of[j] = in_register(numbers[c + j]);
    return four;
  }
  Four middle(int slice, int c) const { return four(center, slice, c); }
  FourAffine by_input(int slice, int c) const { return {four(slope, slice, c), four(constant, slice, c)}; }

  // ---- forward ----

  /// Begins a pass over values that are standardized by slices of so many positions.
  void begin(long positions) {
    together = positions;
    taken = 0;
    fixed = corrects = false;
  }

  /// After `begin`: corrects towards the running statistics, as batch renorm does after so many steps of training.
  void correct(long steps) {
    const double share = steps < warmup_steps ? (double)steps / warmup_steps : 1;
    r_limit = 1 + (r_max - 1) * share;
    d_limit = d_max * share;
    corrects = true;
  }

  /// Takes a part of a slice, of `positions` values a channel, which `x(at)` gives. The part's means and variances are
  /// found in two passes, which lose nothing where the mean is far from zero, and then joined with the parts before.
  /// Until the slice has ended, `var` is the sum of squared distances from the mean.
  template <class F> void add_part(int slice, long positions, F x) {
    const double n = (double)positions * group, before = (double)taken * group, after = before + n;
    const long first = first_group(slice);
    memset(part, 0, sizeof(Wide) * groups);
    if (centered) {
      memset(sums, 0, sizeof(Wide) * C);
      add_by_channel(positions, C, sums, [&](int) { return [&](long at, int) { return x(at); }; });
      add_up(sums, part);
      for (int g = 0; g < groups; g++) {
        for (int i = 0; i < L; i++) part[g].of[i] /= n;
        center[first + g] = part[g].rounded();
      }
    }
    memset(others, 0, sizeof(Wide) * C);
    add_by_channel(positions, C, others, [&](int c) {
      return [&, middle = middle(slice, c)](long at, int j) { const v far = x(at) - middle.of[j]; return far * far; };
    });
    add_up(others, squares);
    for (int g = 0; g < groups; g++) {
      const Wide middle = wide(center[first + g]);
      Wide &m = mean[first + g], &q = var[first + g];
      for (int i = 0; i < L; i++) {
        const double off = part[g].of[i] - middle.of[i], sum = squares[g].of[i] - n * off * off;
        if (before == 0) {
          m.of[i] = part[g].of[i];
          q.of[i] = sum;
        } else {
          const double apart = part[g].of[i] - m.of[i];
          m.of[i] += apart * n / after;
          q.of[i] += sum + apart * apart * before * n / after;
        }
      }
    }
    if ((taken += positions) == together) end_slice(slice);
  }

  /// Blends a slice's statistics into the running ones, as one of so many batches that weigh equally if that is not 0. The
  /// divisor N - 1 variance of one value does not exist.
  void blend(int slice, long batches) {
    const double n = (double)together;
    for (int c = 0; c < channels; c++) {
      const long at = first_group(slice) + c;
      Wide m = wide(running_mean[c]), q = wide(running_var[c]);
      for (int i = 0; i < L; i++) {
        const double weight = batches ? 1 / (double)batches : momentum[i], keep = 1 - weight;
        m.of[i] = keep * m.of[i] + weight * mean[at].of[i];
        if (unbiased && together == 1) continue;
        const double spread = r_max > 0 ? sqrt(var[at].of[i] + eps) : unbiased ? var[at].of[i] * n / (n - 1) : var[at].of[i];
        q.of[i] = keep * q.of[i] + weight * spread;
      }
      running_mean[c] = m.rounded();
      running_var[c] = q.rounded();
    }
  }

  /// Before a training pass of online norm, after `begin`, and after its last slice.
  void begin_online() { exchange(past_mean, past_var, running_mean, running_var, false); }
  void end_online() { exchange(past_mean, past_var, running_mean, running_var, true); }

  /// Normalizes all `positions` by constants, the running ones or those given.
  void normalize_by(bool given, long positions) {
    begin(positions);
    fixed = true;
    for (int c = 0; c < channels; c++) {
      mean[c] = wide((given ? given_mean : running_mean)[c]);
      var[c] = wide((given ? given_var : running_var)[c]);
      for (int i = 0; i < L && r_max > 0 && !given; i++) var[c].of[i] = var[c].of[i] * var[c].of[i] - eps;
    }
    find_scale(0);
  }

  // ---- backward: sums[c] is the sum of dy over a slice, others[c] that of dy * (x - center) ----

  void begin_backward() {
    taken = 0;
    Wide* const all_sums[] = {sums, others, of_gamma, of_beta, of_eps, of_threshold};
    for (Wide* array : all_sums) memset(array, 0, sizeof(Wide) * C);
    if (online) exchange(along_y, along_one, error_along_y, error_along_one, false);
  }

  /// Takes note that the sums have so many positions more. Where these are all of the slice, they become the coefficients
  /// of dx and a part of the gradients of gamma and beta, and begin again from zero.
  void end_gradient(int slice, long positions) {
    if ((taken += positions) < together) return;
    const long first = first_group(slice);
    memset(part, 0, sizeof(Wide) * groups);
    memset(squares, 0, sizeof(Wide) * groups);
    find_inverse_sd(first);
    for (int c = 0; c < channels; c++) {
      const int g = group_of[c];
      const Wide weight = wide(gamma.value[c]), middle = wide(center[first + g]), more = wide(learned_eps.value[c]);
      for (int i = 0; i < L; i++) {
        const double m = mean[first + g].of[i], rate = inverse_sd[g].of[i], sum = sums[c].of[i];
        const double scaled = weight.of[i] * rate * (corrects ? r[c].of[i] : 1);
        const double gradient = rate * (others[c].of[i] - (m - middle.of[i]) * sum);
        of_gamma[c].of[i] += corrects ? gradient * r[c].of[i] + sum * d[c].of[i] : gradient;
        of_beta[c].of[i] += sum;
        of_eps[c].of[i] -= ((more.of[i] > 0) - (more.of[i] < 0)) * scaled * rate * gradient / 2;
        squares[g].of[i] -= scaled * rate * gradient;
        part[g].of[i] -= scaled * sum;
      }
    }
    if (online) control(first);
    for (int g = 0; g < groups && !fixed && !online; g++) {
      Wide by{}, plus{};
      for (int i = 0; i < L; i++) {
        by.of[i] = squares[g].of[i] / values();
        plus.of[i] = centered ? part[g].of[i] / values() - by.of[i] * mean[first + g].of[i] : 0;
      }
      slope[first + g] = by.rounded();
      constant[first + g] = plus.rounded();
    }
    taken = 0;
    memset(sums, 0, sizeof(Wide) * C);
    memset(others, 0, sizeof(Wide) * C);
  }

  /// Takes the steps of the parameters; `room` is for the gradient of one. Keeps online norm's errors.
  void step(const Optimizer& optimizer, v* room) {
    if (online) exchange(along_y, along_one, error_along_y, error_along_one, true);
    const auto move = [&](const Parameter& parameter, const Wide* gradient) {
      for (int c = 0; c < C; c++) room[c] = gradient[c].rounded();
      optimizer.update(parameter, 0, room, C);
    };
    if (learns) { move(gamma, of_gamma); move(beta, of_beta); }
    if (thresholds) { move(learned_eps, of_eps); move(threshold, of_threshold); }
  }

 private:
  long first_group(int slice) const { return (long)slice * (groups + 1); }
  Four four(const v* by_group, int slice, int c) const {
    Four numbers;
    EACH(j, 4) numbers.of[j] = in_register(by_group[first_group(slice) + group_of[c + j]]);
    return numbers;
  }
  double values() const { return (double)together * group; }  // that are standardized together

  void add_up(const Wide* by_channel, Wide* by_group) const {
    memset(by_group, 0, sizeof(Wide) * groups);
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < L; i++) by_group[group_of[c]].of[i] += by_channel[c].of[i];
  }

  /// Of one value the distance from the mean is 0 whatever the value, and so is its gradient.
  void find_inverse_sd(long first) {
    const bool single = centered && !fixed && !online && values() == 1;
    for (int g = 0; g < groups; g++) {
      const Wide more = wide(learned_eps.value[g]);
      for (int i = 0; i < L; i++) inverse_sd[g].of[i] = single ? 0 : 1 / sqrt(var[first + g].of[i] + eps + fabs(more.of[i]));
    }
  }

  void end_slice(int slice) {
    taken = 0;
    for (int g = 0; g < groups; g++) {
      Wide& q = var[first_group(slice) + g];
      for (int i = 0; i < L; i++) q.of[i] = (q.of[i] < 0 ? 0 : q.of[i]) / values();  // of NaN: NaN
    }
    if (corrects) find_correction();
    if (online) follow(slice);
    find_scale(slice);
  }

  /// Takes two arrays from what is kept from step to step, or keeps them.
  void exchange(Wide* one, Wide* other, v* kept_one, v* kept_other, bool writes) const {
    for (int c = 0; c < channels; c++)
      if (writes) { kept_one[c] = one[c].rounded(); kept_other[c] = other[c].rounded(); }
      else { one[c] = wide(kept_one[c]); other[c] = wide(kept_other[c]); }
  }

  /// Puts the statistics of the examples before in the place of an example's own, and goes on from them by these.
  void follow(int slice) {
    for (int c = 0; c < channels; c++) {
      const long at = first_group(slice) + c;
      own_mean[at] = mean[at];
      own_var[at] = var[at];
      mean[at] = past_mean[c];
      var[at] = past_var[c];
      for (int i = 0; i < L; i++) {
        const double apart = own_mean[at].of[i] - mean[at].of[i];
        past_var[c].of[i] = keep * var[at].of[i] + (1 - keep) * own_var[at].of[i] + keep * (1 - keep) * apart * apart;
        past_mean[c].of[i] += (1 - keep) * apart;
      }
    }
  }

  /// From an example's sums to the coefficients of its dx, which take out what the gradients so far had along y and along one;
  /// and to what they have then.
  void control(long first) {
    const double n = values(), gain = 1 - keep_back;
    for (int c = 0; c < channels; c++) {
      const long at = first + c;
      const Wide weight = wide(gamma.value[c]), middle = wide(center[at]);
      Wide by{}, plus{};
      for (int i = 0; i < L; i++) {
        const double rate = inverse_sd[c].of[i], sum = sums[c].of[i], apart = own_mean[at].of[i] - mean[at].of[i];
        const double of_y = gain * along_y[c].of[i], of_one = gain * along_one[c].of[i];
        by.of[i] = -of_y * rate * rate;
        plus.of[i] = -by.of[i] * mean[at].of[i] - of_one;
        const double gradient = rate * (others[c].of[i] - (mean[at].of[i] - middle.of[i]) * sum);
        along_y[c].of[i] += weight.of[i] * gradient / n - of_y * (own_var[at].of[i] + apart * apart) * rate * rate;
        along_one[c].of[i] += (weight.of[i] * sum / n - of_y * apart * rate) * rate - of_one;
      }
      slope[at] = by.rounded();
      constant[at] = plus.rounded();
    }
  }

  void find_correction() {
    for (int c = 0; c < channels; c++) {
      const Wide running = wide(running_mean[c]), deviation = wide(running_var[c]);
      for (int i = 0; i < L; i++) {
        r[c].of[i] = within(sqrt(var[c].of[i] + eps) / deviation.of[i], 1 / r_limit, r_limit);
        d[c].of[i] = within((mean[c].of[i] - running.of[i]) / deviation.of[i], -d_limit, d_limit);
      }
    }
  }
  static double within(double x, double least, double most) { return x < least ? least : x > most ? most : x; }  // of NaN: NaN

  void find_scale(int slice) {
    const long first = first_group(slice);
    find_inverse_sd(first);
    for (int g = 0; g < groups; g++) {
      const Wide weight = group == 1 ? wide(gamma.value[g]) : wide(all(1.0f)), offset = group == 1 ? wide(beta.value[g]) : Wide{};
      Wide by{}, plus{};
      for (int i = 0; i < L; i++) {
        by.of[i] = weight.of[i] * inverse_sd[g].of[i] * (corrects ? r[g].of[i] : 1);
        plus.of[i] = offset.of[i] - mean[first + g].of[i] * by.of[i] + (corrects ? weight.of[i] * d[g].of[i] : 0);
      }
      center[first + g] = mean[first + g].rounded();
      scale[first + g] = by.rounded();
      shift[first + g] = plus.rounded();
    }
  }
};
