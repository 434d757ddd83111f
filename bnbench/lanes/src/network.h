// A network of linear and conv layers, each with a norm before or after its activation or with none, for the trials of one
// vector: training steps, and evaluations.
//
// Of each layer only z, what its product gives, is stored; what the norm and the activation make of it is made again where
// it is read, but for the inputs of linear layers.
#pragma once
#include "activation.h"
#include "conv.h"
#include "draws.h"
#include "loss.h"
#include "norm.h"

constexpr int PACK = 16;  // trials that Python sees; a network has those from `first_trial` on
constexpr int MOST_LAYERS = 128;
constexpr int FEW = 16;    // examples whose images are made numbers once, not once a product
constexpr int AHEAD = 16;  // examples whose products with the first layer's weights are found together; part of the bits
static_assert(AHEAD <= FEW, "what is found ahead is read as numbers");

enum NormPlace { NO_NORM = 0, BEFORE = 1, AFTER = 2 };

/// A layer as Python describes it. A linear layer is one on maps of one pixel.
struct LayerSpec {
  int32_t conv;  // 1: a 3x3 conv layer, 0: a linear layer
  int32_t height, width, inputs;  // of the input: its map (1, 1 for a linear layer), and its channels or features
  int32_t stride, left, top;      // of a conv layer: zeros before each row and each column
  int32_t height_out, width_out, outputs;
  int32_t bias, activation, norm;  // `norm`: NormPlace
  int32_t examples, group;         // examples (0: all of a batch) and channels that are standardized together
  int32_t centered;                // whether the norm subtracts the mean
  int32_t thresholds;              // whether it learns a part of eps, and a least output
  int32_t running;                 // whether it keeps running statistics, by which it evaluates
  int32_t frozen;                  // whether it trains by these, and leaves them as they are
  int32_t standardized;            // whether the weights of each output are standardized before use
  int32_t affine;                  // whether gamma and beta are learned
  int32_t unbiased;                // whether the running variance takes the divisor N - 1
  int32_t warmup_steps;            // of batch renorm
  int32_t noisy;                   // whether the norm adds noise while it trains, and multiplies by noise
  int32_t drops;                   // whether there is dropout after all else
  int32_t online;                  // whether the norm standardizes each example by those before it
  double eps, r_max, d_max;        // `r_max`: of batch renorm, else 0
  double noise_shift, noise_scale; // the largest means of what is added and of the factor
  double decay_forward, decay_backward, clamp;  // of online norm
};

struct NetworkSpec {
  int32_t layers, batch_size, trials, channels, loss, optimizer, cumulative;  // `channels`: of an image
  const LayerSpec* layer;
  const double *momentum, *beta1, *beta2, *eps, *weight_decay, *norm_momentum, *dropout;  // by trial
  const int64_t* seeds;  // [layer][2][trial]: of the dropout, and of the noise
};

/// Images in memory, and how each trial scales them.
struct Source {
  const uint8_t* images;  // [image][channel][pixel]
  const int64_t* labels;  // of each image
  const float *scale, *shift;  // [trial][channel]
};

/// What a call to train is given.
struct Block {
  Source source;
  const int64_t* rows;     // [step][trial][example]
  const double* lrs;       // [step][trial]
  double *losses, *right;  // [step][trial]: the mean loss before the step, and right answers
};

/// What a call to evaluate is given.
struct Part {
  Source source;
  const int64_t* rows;     // [trial][example]
  double *losses, *right;  // [trial]: sums over the examples
};

struct Layer {
  LayerSpec spec;
  Linear linear;
  Conv conv;
  Parameter weight, bias;
  v* used;         // the weights by which it multiplies: `weight`, or these standardized
  Norm norm, rows; // `rows`: of the weights, of which four outputs are a slice and the inputs of each are its positions
  int C;           // channels of the output, padded to a multiple of four
  long positions;  // of the output
  v *z, *out;      // [example][position][C]; `out` only where a linear layer reads it
  Draws of_dropout, of_noise;
  v *noise_by = nullptr, *noise_plus = nullptr;  // of the present step, [position][C]: read several times, and dearer to draw than to read
  long size() const { return positions * C; }

  /// Weights of an output, those of the channels too that only fill a block of four.
  long row() const { return spec.conv ? 9L * conv.CI : linear.I; }

  /// Examples that are standardized together, of so many that are passed.
  int together(int count, bool trains) const { return spec.examples && (trains || !spec.running) ? spec.examples : count; }
};

/// Where a forward pass leaves what it computes.
struct Buffers {
  int examples = 0;
  uint8_t* bytes;
  v* numbers;  // the images as a linear layer reads them, of a batch so small that they stay in the cache; else null
  vi* labels;
  v *z[MOST_LAYERS], *out[MOST_LAYERS];
  Arena memory;
};

struct Network {
  int depth = 0, N = 0, trials = 0, first_trial = 0, classes = 0, loss = 0, channels = 1;
  long pixels = 0, taken = 0;  // `pixels`: of an image channel
  bool cumulative = false;
  bool trains = false;  // whether the present pass is one of training
  v dropout, kept_by_dropout;  // the probability of a zero, and what the others are multiplied by
  // Plain SGD on few examples is bound by the memory of the first layer's weights W. But images are known before their step,
  // and a step moves W by few products, of its images x and of the gradients g of what W made of them. So W is read once for
  // the images of several steps and moved once after them. In between, (W - lr g x') y is found as W y - lr g (x' y).
  int steps_ahead = 1;    // how many steps that is; 1 where it is not done
  int first_example = 0;  // of the present step, among those of these steps
  v *moves, *gram;        // [example][C], -lr g; and [example][AHEAD], its products x' y with the examples before it
  Layer layer[MOST_LAYERS];
  Optimizer optimizer;
  double beta1[L], beta2[L], power1[L], power2[L], decay[L];
  v *scale, *shift, *room, *x_room, *g_room, *dw, *d_channels, *d[2];
  Buffers training, evaluation;
  Buffers* now = nullptr;
  Arena memory;

  bool open(const NetworkSpec& spec, int first) {
    first_trial = first;
    depth = spec.layers;
    N = spec.batch_size;
    trials = spec.trials;
    loss = spec.loss;
    channels = spec.channels;
    cumulative = spec.cumulative;
    const LayerSpec &bottom = spec.layer[0], &head = spec.layer[depth - 1];
    pixels = bottom.conv ? (long)bottom.height * bottom.width : bottom.inputs / channels;
    classes = head.outputs;
    optimizer.kind = spec.optimizer;
    for (int t = 0; t < trials; t++) optimizer.decays = optimizer.decays || spec.weight_decay[t] != 0;
    lay_out(spec);  // only adds up the memory that it takes
    if (!reopen(memory)) return false;
    lay_out(spec);
    if (!make_buffers(training, steps_ahead * N, true)) return false;
    fill(spec);
    return true;
  }

  void close() {
    memory.close();
    training.memory.close();
    evaluation.memory.close();
  }

  static bool reopen(Arena& arena) {
    const size_t bytes = arena.used;
    arena = Arena();
    return arena.open(bytes);
  }

  void lay_out(const NetworkSpec& spec) {
    const int moments = optimizer.moments();
    long most = 0, rooms = 0, x_most = 0, g_most = 0, w_most = 0, widest = 0;
    for (int l = 0; l < depth; l++) {
      Layer& a = layer[l];
      const LayerSpec& s = a.spec = spec.layer[l];
      const int before = l ? layer[l - 1].C : s.inputs;  // channels of the input, as they are stored
      a.C = (s.outputs + 3) / 4 * 4;
      a.positions = (long)s.height_out * s.width_out;
      if (s.conv) {
        a.conv = Conv{s.height, s.width, before, s.stride, s.left, s.top, s.height_out, s.width_out, a.C};
        const int G = smaller(a.conv.images_at_a_time(), N > BATCH ? N : BATCH);
        x_most = larger(x_most, a.conv.wide() ? s.height * a.conv.padded_row() : a.conv.in() * G);
        g_most = larger(g_most, a.conv.wide() ? s.height_out * a.conv.gradient_row() : a.conv.out() * G);
        w_most = larger(w_most, a.conv.weights());
        rooms = larger(rooms, a.conv.room());
      } else {
        a.linear.I = l ? (int)layer[l - 1].size() : s.inputs;
        a.linear.O = a.C;
        rooms = larger(rooms, a.linear.room());
      }
      a.weight.take(memory, a.row() * a.C, moments);
      a.used = a.weight.value;
      if (s.standardized) {
        a.used = memory.take<v>(a.row() * a.C);
        a.rows.take(memory, 4, 4, 1, a.C / 4, 0);
        w_most = larger(w_most, a.row() * a.C);
      }
      if (s.bias) a.bias.take(memory, a.C, moments);
      const int slices = s.running ? N / a.together(N, true) : (int)larger(N, BATCH);
      a.norm.online = s.online;
      a.norm.take(memory, s.outputs, a.C, s.group, slices, moments);
      if (s.noisy) {
        a.noise_by = memory.take<v>(a.size() * N);
        a.noise_plus = memory.take<v>(a.size() * N);
      }
      most = larger(most, a.size() * N);
      widest = larger(widest, a.C);
    }
    if (optimizer.is_plain() && !layer[0].spec.conv && !layer[0].spec.standardized) steps_ahead = AHEAD / N;
    if (steps_ahead < 3) steps_ahead = 1;  // two at a time are no faster than one
    moves = memory.take<v>((size_t)AHEAD * layer[0].C);
    gram = memory.take<v>(AHEAD * AHEAD);
    for (v*& gradient : d) gradient = memory.take<v>(most);
    x_room = memory.take<v>(x_most);
    g_room = memory.take<v>(g_most);
    dw = memory.take<v>(w_most);
    room = memory.take<v>(rooms);
    scale = memory.take<v>(channels);
    shift = memory.take<v>(channels);
    d_channels = memory.take<v>(widest);
  }

  /// Buffers for so many examples. Training needs every layer's z again; an evaluation only that of the layer before.
  bool make_buffers(Buffers& b, int examples, bool trains) {
    b.memory.close();
    for (int pass = 0; pass < 2; pass++) {
      if (pass && !reopen(b.memory)) return false;
      b.bytes = b.memory.take<uint8_t>((size_t)examples * channels * pixels * L);
      b.labels = b.memory.take<vi>(examples);
      b.numbers = examples <= FEW && !layer[0].spec.conv ? b.memory.take<v>((size_t)examples * channels * pixels) : nullptr;
      long most = 0;
      for (int l = 0; l < depth; l++) most = larger(most, layer[l].size());
      v *zs[2] = {nullptr, nullptr}, *outs[2] = {nullptr, nullptr};
      if (!trains)
        for (int i = 0; i < 2; i++) { zs[i] = b.memory.take<v>(most * examples); outs[i] = b.memory.take<v>(most_read() * examples); }
      for (int l = 0; l < depth; l++) {
        b.z[l] = trains ? b.memory.take<v>(layer[l].size() * examples) : zs[l % 2];
        if (is_read_as_rows(l)) b.out[l] = trains ? b.memory.take<v>(layer[l].size() * examples) : outs[l % 2];
      }
    }
    b.examples = examples;
    return true;
  }
  bool is_read_as_rows(int l) const { return l + 1 < depth && !layer[l + 1].spec.conv; }
  long most_read() const {
    long most = 0;
    for (int l = 0; l < depth; l++) if (is_read_as_rows(l)) most = larger(most, layer[l].size());
    return most;
  }

  /// Sets up the passes that follow: where they leave what they compute, and how they scale images.
  void use(Buffers& b, const Source& source) {
    now = &b;
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < L; i++) {
        set_lane(scale[c], i, source.scale[trial_of(i) * channels + c]);
        set_lane(shift[c], i, source.shift[trial_of(i) * channels + c]);
      }
    for (int l = 0; l < depth; l++) { layer[l].z = b.z[l]; layer[l].out = b.out[l]; }
  }

  int trial_of(int lane) const { return smaller(first_trial + lane, trials - 1); }  // lanes left over repeat the last
  v vector_of(const double* by_trial) const {
    v x;
    for (int i = 0; i < L; i++) set_lane(x, i, (float)by_trial[trial_of(i)]);
    return x;
  }

  void fill(const NetworkSpec& spec) {
    Optimizer& o = optimizer;
    dropout = vector_of(spec.dropout);
    for (int i = 0; i < L; i++) set_lane(kept_by_dropout, i, (float)(1 / (1 - spec.dropout[trial_of(i)])));
    o.momentum = vector_of(spec.momentum);
    o.eps = vector_of(spec.eps);
    o.weight_decay = vector_of(spec.weight_decay);
    o.keep1 = vector_of(spec.beta1);
    o.keep2 = vector_of(spec.beta2);
    for (int i = 0; i < L; i++) {
      const int trial = trial_of(i);
      beta1[i] = spec.beta1[trial];
      beta2[i] = spec.beta2[trial];
      decay[i] = spec.weight_decay[trial];
      set_lane(o.new1, i, (float)(1 - beta1[i]));
      set_lane(o.new2, i, (float)(1 - beta2[i]));
    }
    set_taken(0);
    for (int l = 0; l < depth; l++) {
      Norm& norm = layer[l].norm;
      norm.fill();
      if (layer[l].spec.standardized) layer[l].rows.fill();
      norm.centered = layer[l].spec.centered;
      norm.thresholds = layer[l].spec.thresholds;
      norm.learns = layer[l].spec.affine;
      norm.unbiased = layer[l].spec.unbiased;
      norm.eps = layer[l].spec.eps;
      norm.r_max = layer[l].spec.r_max;
      norm.d_max = layer[l].spec.d_max;
      norm.warmup_steps = layer[l].spec.warmup_steps;
      norm.keep = layer[l].spec.decay_forward;
      norm.keep_back = layer[l].spec.decay_backward;
      norm.clamp = layer[l].spec.clamp;
      for (int i = 0; i < L; i++) {
        norm.momentum[i] = spec.norm_momentum[trial_of(i)];
        layer[l].of_dropout.set_seed(i, spec.seeds[(long)2 * l * trials + trial_of(i)]);
        layer[l].of_noise.set_seed(i, spec.seeds[(long)(2 * l + 1) * trials + trial_of(i)]);
      }
    }
  }

  /// Says how many steps were taken. The powers of beta are products in this order, which no library rounds otherwise.
  void set_taken(long steps) {
    for (int i = 0; i < L; i++) power1[i] = power2[i] = 1;
    for (taken = 0; taken < steps; taken++) multiply_powers();
  }
  void multiply_powers() {
    for (int i = 0; i < L; i++) { power1[i] *= beta1[i]; power2[i] *= beta2[i]; }
  }

  // ---- what a layer reads ----

  /// The images of `count` examples from `begin` on, as bytes [example][channel][pixel][L], and their labels; their rows lie
  /// `apart` from trial to trial.
  void gather(const Source& source, const int64_t* rows, long apart, int count, int begin = 0) {
    const long bytes = channels * pixels;
    for (int n = begin; n < begin + count; n++, rows++) {
      const uint8_t* from[L];
      int label[L];
      for (int i = 0; i < L; i++) {
        const int64_t row = rows[trial_of(i) * apart];
        from[i] = source.images + row * bytes;
        label[i] = (int)source.labels[row];
      }
      memcpy((void*)(now->labels + n), label, sizeof label);
      uint8_t* to = now->bytes + (size_t)n * bytes * L;
      long at = 0;
      for (; at + 16 <= bytes; at += 16) transpose_bytes(from, at, to + at * L);
      for (; at < bytes; at++)
        for (int i = 0; i < L; i++) to[at * L + i] = from[i][at];
      if (!now->numbers) continue;
      for (int c = 0; c < channels; c++)
        for (long p = c * pixels; p < (c + 1) * pixels; p++) now->numbers[n * bytes + p] = fma(of_bytes(to + p * L), scale[c], shift[c]);
    }
  }

  // ---- what a layer draws in a step of training ----

  /// Zeros values of layer `a` at some positions, or their gradients, and scales the others, always the same of a step.
  void drop(const Layer& a, long first, long positions, v* x) const {
    for (long n = 0; n < positions; n++)
      for (int c = 0; c < a.C; c += 4, x += 4) {
        const Words drawn = a.of_dropout.words(DROPPED, taken - 1, first + n, c);
        OVER(j, 4, x[j] = x[j] * where_larger(dropout, uniform(drawn.of[j]), all(0.0f), kept_by_dropout));
      }
  }

  /// Draws the noise of a step: of each value what is added, uniform about a mean of its channel, and the factor, normal about
  /// another; both means are drawn too. The channels that only fill a block of four get none.
  void draw_noise(Layer& a, long positions) const {
    constexpr float spread = 0.1f;
    const long step = taken - 1;
    const v half_range = all((float)a.spec.noise_shift), range = all((float)(a.spec.noise_scale - 1));
    for (int c = 0; c < a.C; c += 4) {
      const Words shifts = a.of_noise.words(MEAN_SHIFT, step, 0, c), scales = a.of_noise.words(MEAN_SCALE, step, 0, c);
      v least[4], middle[4];
      EACH(j, 4) {
        least[j] = fma(uniform(shifts.of[j]) * all(2.0f) - all(1.0f), half_range, all(-spread));
        middle[j] = fma(uniform(scales.of[j]), range, all(1.0f));
      }
      for (long n = 0; n < positions; n++) {
        const Words of_shift = a.of_noise.words(SHIFT, step, n, c), of_scale = a.of_noise.words(SCALE, step, n, c);
        v *by = a.noise_by + n * a.C + c, *plus = a.noise_plus + n * a.C + c;
        EACH(j, 4) plus[j] = fma(uniform(of_shift.of[j]), all(2 * spread), least[j]);
        EACH(j, 2) {
          const NormalPair normals = normal_pair(of_scale.of[2 * j], of_scale.of[2 * j + 1]);
          by[2 * j] = fma(normals.one, all(spread), middle[2 * j]);
          by[2 * j + 1] = fma(normals.other, all(spread), middle[2 * j + 1]);
        }
        for (int j = a.spec.outputs - c; j < 4; j++) plus[j] = all(0.0f);
      }
    }
  }

  /// What layer `a` puts out at some positions of its z: the activation, normalized before or after, or not.
  void activate(const Layer& a, long first, long positions, v* to) const {
    const int C = a.C;
    with_activation(a.spec.activation, [&](auto f) {
      a.norm.by_slice(first, positions, [&](int slice, long from, long count) {
        const v* z = a.z + from * C;
        v* out = to + (from - first) * C;
        const auto y = [&](int c) { return a.norm.normalize(slice, c); };
        if (a.spec.norm == NO_NORM)
          for (long i = 0; i < count * C; i++) out[i] = f.value(z[i]);
        else
          a.norm.with_end(from, [&](auto end) {
            if (a.spec.norm == BEFORE)
              by_channel(count, C, [&](int c) { return [=, y = y(c), t = end(c)](long at, int j) { out[at] = f.value(t(y(z[at], j), at, j)); }; });
            else
              by_channel(count, C, [&](int c) { return [=, y = y(c), t = end(c)](long at, int j) { out[at] = t(y(f.value(z[at]), j), at, j); }; });
          });
      });
      // The channels that only fill a block of four must stay zero, or the next layer's weights would learn of them.
      if (!f.zero_at_zero)  // under AFTER too: normalized, they are what was rounded off, of which Adam learns at its full rate
        for (long n = 0; n < positions; n++) for (int c = a.spec.outputs; c < C; c++) to[n * C + c] = all(0.0f);
    });
    if (trains && a.spec.drops) drop(a, first, positions, to);
  }

  /// Row h of example n's map as conv layer l reads it, without the zeros around it.
  void input_row(int l, long n, int h, v* to) const {
    const Conv& conv = layer[l].conv;
    if (l) return activate(layer[l - 1], (n * conv.H + h) * conv.W, conv.W, to);
    for (int c = 0; c < channels; c++) {
      const uint8_t* from = now->bytes + (((size_t)n * channels + c) * conv.H + h) * conv.W * L;
      for (int q = 0; q < conv.W; q++) to[q * channels + c] = fma(of_bytes(from + q * L), scale[c], shift[c]);
    }
  }

  /// The maps of G examples from n on, as conv layer l reads them, in x_room.
  void conv_inputs(int l, long n, int G) {
    const Conv& conv = layer[l].conv;
    if (!conv.wide()) {
      if (l) return activate(layer[l - 1], n * conv.H * conv.W, (long)G * conv.H * conv.W, x_room);
      for (int g = 0; g < G; g++) for (int h = 0; h < conv.H; h++) input_row(l, n + g, h, x_room + ((long)g * conv.H + h) * conv.W * conv.CI);
      return;
    }
    for (int h = 0; h < conv.H; h++) {
      v* to = x_room + h * conv.padded_row();
      fill_zero(to, conv.left * conv.CI);
      input_row(l, n, h, to + conv.left * conv.CI);
      fill_zero(to + (conv.left + conv.W) * conv.CI, conv.right() * conv.CI);
    }
  }
  static void fill_zero(v* to, long n) {
    for (long i = 0; i < n; i++) to[i] = all(0.0f);
  }

  Rows linear_inputs(int l) const {
    Rows rows;
    rows.stride = layer[l].linear.I;
    if (l || now->numbers) { rows.numbers = l ? layer[l - 1].out : now->numbers; return rows; }
    rows.bytes = now->bytes;
    rows.scale = scale;
    rows.shift = shift;
    rows.positions = pixels;
    return rows;
  }

  // ---- forward ----

  void forward(int count, int statistics, bool training_step) {
    trains = training_step;
    for (int l = 0; l < depth; l++) {
      Layer& a = layer[l];
      const bool of_batch = a.spec.online ? trains : (!a.spec.running || statistics == OF_BATCH) && !(a.spec.frozen && trains);
      const bool finds = a.spec.norm != NO_NORM && of_batch;
      const int together = a.together(count, trains);
      if (finds) a.norm.begin(together * a.positions);
      if (finds && trains && a.spec.r_max > 0) a.norm.correct(taken - 1);
      if (finds && a.spec.online) a.norm.begin_online();
      if (a.spec.standardized) standardize(l);
      if (a.spec.conv) {
        const int at_once = a.conv.images_at_a_time();
        for (int n = 0; n < count; n += at_once) {
          const int G = smaller(at_once, count - n);
          conv_inputs(l, n, G);
          v* z = a.z + n * a.size();
          const long in = l ? G * a.conv.in() : 0, out = G * a.size();
          Ahead next_images{l ? layer[l - 1].z + (n + G) * a.conv.in() : z, in, z + out, out};
          if (a.conv.wide()) a.conv.forward_wide(a.used, a.bias.value, x_room, z, next_images);
          else a.conv.forward_narrow(a.used, a.bias.value, x_room, z, G, next_images);
          if (finds) add_statistics(a, n, G);
        }
      } else {
        if (l == 0 && trains && steps_ahead > 1) catch_up(a);
        else a.linear.forward(a.used, a.bias.value, linear_inputs(l), count, a.z, room);
        for (int n = 0; finds && n < count; n += BATCH) add_statistics(a, n, smaller(BATCH, count - n));
      }
      if (finds && a.spec.online) a.norm.end_online();
      else if (finds && a.spec.running && trains) blend(a.norm, count / together);
      if (!finds && a.spec.norm != NO_NORM) a.norm.normalize_by(statistics == GIVEN && !a.spec.online, count * a.positions);
      const bool noisy = trains && a.spec.noisy;
      if (noisy) draw_noise(a, count * a.positions);
      a.norm.noise_by = noisy ? a.noise_by : nullptr;
      a.norm.noise_plus = a.noise_plus;
      if (is_read_as_rows(l)) activate(a, 0, count * a.positions, a.out);
    }
  }

  static void add_statistics(Layer& a, long example, int count) {
    a.norm.by_slice(example * a.positions, count * a.positions, [&](int slice, long first, long positions) {
      const v* z = a.z + first * a.C;
      if (a.spec.norm == BEFORE) return a.norm.add_part(slice, positions, [&](long at) { return z[at]; });
      with_activation(a.spec.activation, [&](auto f) { a.norm.add_part(slice, positions, [&](long at) { return f.value(z[at]); }); });
    });
  }

  void blend(Norm& norm, int slices) const {
    for (int slice = 0; slice < slices; slice++) norm.blend(slice, cumulative ? (taken - 1) * slices + slice + 1 : 0);
  }

  // ---- what is known of the first layer before a step ----

  /// Gathers the images of some steps and, where this is done ahead, finds what the weights as they are make of them.
  void look_ahead(const Block& block, int step, int steps) {
    for (int s = 0; s < steps; s++) gather(block.source, block.rows + (long)(step + s) * trials * N, N, N, s * N);
    if (steps_ahead == 1) return;
    const Rows images = linear_inputs(0);
    const int count = steps * N;
    layer[0].linear.forward(layer[0].used, nullptr, images, count, training.z[0], room);
    for (int n = N; n < count; n++)
      for (int m = 0; m < n / N * N; m += 4) products(images, n, m, gram + n * AHEAD + m);
  }

  /// Makes of the first layer's z of this step, which were found ahead, what the weights by now and the bias make of them.
  void catch_up(Layer& a) {
    for (int n = 0; n < N; n++)
      for (int c = 0; c < a.C; c++) {
        v& z = a.z[n * a.C + c];
        for (int m = 0; m < first_example; m++) z = fma(gram[(first_example + n) * AHEAD + m], moves[m * a.C + c], z);
        if (a.spec.bias) z = z + a.bias.value[c];
      }
  }

  // ---- backward ----

  /// Adds up what the norm, or without one the bias, needs of the output's gradient g at some positions. Where the
  /// activation comes last, g becomes the gradient of what it was given.
  void add_gradient(Layer& a, long first, long positions, v* gradient) {
    Norm& norm = a.norm;
    if (a.spec.drops) drop(a, first, positions, gradient + first * a.C);
    with_activation(a.spec.activation, [&](auto f) {
      norm.by_slice(first, positions, [&](int slice, long from, long count) {
        const v* z = a.z + from * a.C;
        v* g = gradient + from * a.C;
        if (a.spec.norm == NO_NORM)
          return add_by_channel(count, a.C, norm.sums, [&](int) { return [=](long at, int) { return g[at] = f.back(z[at], g[at]); }; });
        if (norm.thresholds)
          add_gradient_of_threshold(a, slice, count, z, g, f);
        else
          norm.with_plain_end(from, [&](auto end) {
            if (a.spec.norm == BEFORE)
              add_two_by_channel(count, a.C, norm.sums, norm.others, [&](int c) {
                return [=, y = norm.normalize(slice, c), middle = norm.middle(slice, c)](long at, int j, v* other) {
                  const v x = z[at], u = y(x, j), d = end.back(f.back(end(u, at, j), g[at]), u, at);
                  *other = d * (x - middle.of[j]);
                  return g[at] = d;
                };
              });
            else
              add_two_by_channel(count, a.C, norm.sums, norm.others, [&](int c) {
                return [=, y = norm.normalize(slice, c), middle = norm.middle(slice, c)](long at, int j, v* other) {
                  const v x = f.value(z[at]), d = end.back(g[at], y(x, j), at);
                  *other = d * (x - middle.of[j]);
                  return g[at] = d;
                };
              });
          });
        norm.end_gradient(slice, count);
      });
    });
  }

  /// The same for a norm with a threshold after it. g becomes the gradient of what the threshold was given.
  template <class F> static void add_gradient_of_threshold(Layer& a, int slice, long positions, const v* z, v* g, F f) {
    Norm& norm = a.norm;
    const bool first = a.spec.norm == BEFORE;
    add_two_by_channel(positions, a.C, norm.sums, norm.of_threshold, [&](int c) {
      return [=, y = norm.normalize(slice, c), cut = Cut{Norm::of_channels(norm.threshold.value, c)}](long at, int j, v* other) {
        const v u = y(first ? z[at] : f.value(z[at]), j), d = first ? f.back(cut(u, at, j), g[at]) : g[at], kept = d * cut.share(u, j);
        *other = d - kept;
        return g[at] = kept;
      };
    });
    add_by_channel(positions, a.C, norm.others, [&](int) {
      return [=](long at, int) { return g[at] * (first ? z[at] : f.value(z[at])); };
    });
  }

  /// From what `add_gradient` left of the output's gradient to that of z, at some positions from `first` on; its sums are
  /// the bias's gradient.
  void pass_norm(Layer& a, long first, long positions, const v* gradient, v* to) {
    const int C = a.C;
    Norm& norm = a.norm;
    if (a.spec.norm == NO_NORM) {
      if (to != gradient) memcpy((void*)to, (const void*)gradient, sizeof(v) * positions * C);
      return;
    }
    norm.by_slice(first, positions, [&](int slice, long from, long count) {
      const v *z = a.z + from * C, *g = gradient + (from - first) * C;
      v* dz = to + (from - first) * C;
      const auto scale = [&](int c) { return norm.normalize(slice, c).by; };
      const auto rest = [&](int c) { return norm.by_input(slice, c); };
      if (a.spec.norm == BEFORE)
        return by_channel(count, C, [&](int c) {
          return [=, by = scale(c), rest = rest(c)](long at, int j) { dz[at] = fma(g[at], by.of[j], rest(z[at], j)); };
        });
      with_activation(a.spec.activation, [&](auto f) {
        by_channel(count, C, [&](int c) {
          return [=, by = scale(c), rest = rest(c)](long at, int j) {
            dz[at] = f.back(z[at], fma(g[at], by.of[j], rest(f.value(z[at]), j)));
          };
        });
      });
    });
    if (a.spec.bias) add_by_channel(positions, C, norm.sums, [&](int) { return [=](long at, int) { return to[at]; }; });
  }

  void backward(int l) {
    Layer& a = layer[l];
    v *g = d[l % 2], *below = d[(l + 1) % 2];
    if (l) layer[l - 1].norm.begin_backward();
    if (a.spec.conv) backward_conv(l, g, below);
    else {
      pass_norm(a, 0, N, g, g);
      if (l) {
        a.linear.by_input(a.used, g, N, below);
        add_gradient(layer[l - 1], 0, N * layer[l - 1].positions, below);
      }
      if (l == 0 && steps_ahead > 1) for (int i = 0; i < N * a.C; i++) moves[first_example * a.C + i] = optimizer.minus_lr * g[i];
      else if (a.spec.standardized) {
        memset((void*)dw, 0, sizeof(v) * a.row() * a.C);
        a.linear.update(Parameter{dw}, linear_inputs(l), g, N, Optimizer::sum(), room);
        step_weights(l, 0, dw, a.C);
      } else a.linear.update(a.weight, linear_inputs(l), g, N, optimizer, room);
    }
    step_biases(a);
  }

  // ---- standardized weights ----

  /// Calls f(from, positions) for each stretch of a block of weights [input][4] that is of inputs, not of what only fills
  /// a block of four.
  template <class F> void by_inputs(int l, F f) const {
    const Layer& a = layer[l];
    const int padded = a.spec.conv ? a.conv.CI : l ? layer[l - 1].C : a.linear.I;
    const int inputs = l ? layer[l - 1].spec.outputs : a.spec.inputs;
    for (long from = 0; from < a.row(); from += padded) f(4 * from, inputs);
  }

  void standardize(int l) {
    Layer& a = layer[l];
    long inputs = 0;
    by_inputs(l, [&](long, int count) { inputs += count; });
    a.rows.begin(inputs);
    for (int block = 0; block < a.C / 4; block++) {
      const long at = 4 * block * a.row();
      by_inputs(l, [&](long from, int count) { a.rows.add_part(block, count, [w = a.weight.value + at + from](long i) { return w[i]; }); });
      by_inputs(l, [&](long from, int count) {
        const v* w = a.weight.value + at + from;
        v* used = a.used + at + from;
        by_channel(count, 4, [&](int c) { return [=, y = a.rows.normalize(block, c)](long i, int j) { used[i] = y(w[i], j); }; });
      });
    }
  }

  /// Takes the step of the weights of `outputs` outputs from o on, by the gradient of those that the products have.
  void step_weights(int l, int o, v* gradient, int outputs) {
    Layer& a = layer[l];
    for (int block = o / 4; a.spec.standardized && block < (o + outputs) / 4; block++) {
      const v* weights = a.weight.value + 4 * block * a.row();
      v* gradients = gradient + (4 * block - o) * a.row();
      a.rows.begin_backward();
      by_inputs(l, [&](long from, int count) {
        const v *w = weights + from, *g = gradients + from;
        add_two_by_channel(count, 4, a.rows.sums, a.rows.others, [&](int c) {
          return [=, middle = a.rows.middle(block, c)](long i, int j, v* other) { *other = g[i] * (w[i] - middle.of[j]); return g[i]; };
        });
        a.rows.end_gradient(block, count);
      });
      by_inputs(l, [&](long from, int count) {
        const v* w = weights + from;
        v* g = gradients + from;
        by_channel(count, 4, [&](int c) {
          return [=, by = a.rows.normalize(block, c).by, rest = a.rows.by_input(block, c)](long i, int j) { g[i] = fma(g[i], by.of[j], rest(w[i], j)); };
        });
      });
    }
    optimizer.update(a.weight, o * a.row(), gradient, outputs * a.row());
  }

  /// Takes the steps of the norm's parameters and of the bias, of which no gradient of this step depends any more.
  void step_biases(Layer& a) {
    if (a.spec.norm != NO_NORM) a.norm.step(optimizer, d_channels);
    if (!a.spec.bias) return;
    for (int c = 0; c < a.C; c++) d_channels[c] = a.norm.sums[c].rounded();
    optimizer.update(a.bias, 0, d_channels, a.C);
  }

  void backward_conv(int l, const v* g, v* below) {
    Layer& a = layer[l];
    const Conv& conv = a.conv;
    const bool wide = conv.wide();
    const int at_once = conv.images_at_a_time();
    if (wide) memset((void*)dw, 0, sizeof(v) * conv.weights());
    for (int n = 0; n < N; n += at_once) {
      const int G = smaller(at_once, N - n);
      conv_gradient(a, g, n, G);
      if (l) {
        v* dx = below + n * conv.in();
        const long in = G * conv.in();
        Ahead inputs{layer[l - 1].z + n * conv.in(), in, dx + in, in};
        if (wide) conv.by_input_wide(a.used, g_room, dx, room, inputs);
        else conv.by_input_narrow(a.used, g_room, dx, G, room, inputs);
        add_gradient(layer[l - 1], (long)n * conv.H * conv.W, (long)G * conv.H * conv.W, below);
      }
      conv_inputs(l, n, G);
      const long out = G * a.size();
      Ahead next_outputs{g + n * a.size() + out, out, a.z + n * a.size() + out, out};
      if (wide) conv.by_weight_wide(x_room, g_room, dw, next_outputs);
      else
        for (int i = 0; i < G; i += conv.images_for_weights()) {
          const int some = smaller(conv.images_for_weights(), G - i);
          const bool last = n + i + some == N;
          conv.by_weight_narrow(x_room + i * conv.in(), g_room + i * conv.out(), some, dw, n + i == 0, next_outputs, [&](int o) {
            if (last) step_weights(l, o, dw + o * a.row(), 4);
          });
        }
    }
    if (wide) step_weights(l, 0, dw, a.C);
  }

  /// The gradient of z of G examples from n on, as the products of `a` read it, in g_room.
  void conv_gradient(Layer& a, const v* g, long n, int G) {
    const Conv& conv = a.conv;
    const long first = n * a.positions;
    g += first * a.C;
    if (!conv.wide()) return pass_norm(a, first, (long)G * a.positions, g, g_room);
    const long row = (long)conv.WO * conv.CO;
    for (int h = 0; h < conv.HO; h++) {
      v* to = g_room + h * conv.gradient_row();
      fill_zero(to, MARGIN * conv.CO);
      pass_norm(a, first + h * conv.WO, conv.WO, g + h * row, to + MARGIN * conv.CO);
      fill_zero(to + (MARGIN + conv.WO) * conv.CO, MARGIN * conv.CO);
    }
  }

  // ---- what Python calls ----

  void begin_step(const double* lrs) {
    taken++;
    multiply_powers();
    for (int i = 0; i < L; i++) {
      const double lr = lrs[trial_of(i)];
      set_lane(optimizer.minus_lr, i, (float)-lr);
      set_lane(optimizer.minus_step, i, (float)(-lr / (1 - power1[i])));
      set_lane(optimizer.square_correction, i, (float)(1 / sqrt(1 - power2[i])));
      set_lane(optimizer.kept_by_decay, i, (float)(1 - lr * decay[i]));
    }
  }

  /// The loss of what `forward` left, and its gradient in the head's d.
  void find_loss(int count, v* gradient, Wide* total, Wide* right) {
    const Layer& head = layer[depth - 1];
    activate(head, 0, count, gradient);
    take_loss(loss, gradient, now->labels + first_example, count, classes, head.C, total, right);
  }

  void train(const Block& block, int steps) {
    use(training, block.source);
    for (int s = 0; s < steps; s++) {
      first_example = s % steps_ahead * N;
      if (first_example == 0) look_ahead(block, s, smaller(steps_ahead, steps - s));
      layer[0].z = training.z[0] + first_example * layer[0].size();
      begin_step(block.lrs + (long)s * trials);
      forward(N, OF_BATCH, true);
      Wide total{}, right{};
      v* gradient = d[(depth - 1) % 2];
      find_loss(N, gradient, &total, &right);
      for (int i = 0; i < L && first_trial + i < trials; i++) {
        block.losses[(long)s * trials + first_trial + i] = total.of[i] / N;
        block.right[(long)s * trials + first_trial + i] = right.of[i];
      }
      Layer& head = layer[depth - 1];
      head.norm.begin_backward();
      add_gradient(head, 0, N, gradient);
      for (int l = depth - 1; l >= 0; l--) backward(l);
      if (steps_ahead > 1 && (first_example + N == steps_ahead * N || s + 1 == steps))
        layer[0].linear.update(layer[0].weight, linear_inputs(0), moves, first_example + N, Optimizer::sum(), room);
    }
    first_example = 0;
  }

  /// Evaluates `count` examples; under the batch's statistics they are one batch. False where memory runs out.
  bool evaluate(const Part& part, int count, int statistics) {
    bool over_batch = false;
    for (int l = 0; l < depth; l++) over_batch = over_batch || (layer[l].spec.norm != NO_NORM && layer[l].spec.running && !layer[l].spec.online);
    const int at_once = statistics == OF_BATCH && over_batch ? count : smaller(count, BATCH);
    if (evaluation.examples < at_once && !make_buffers(evaluation, at_once, false)) return false;
    use(evaluation, part.source);
    Wide total{}, right{};
    for (int n = 0; n < count; n += at_once) {
      const int some = smaller(at_once, count - n);
      gather(part.source, part.rows + n, count, some);
      forward(some, statistics, false);
      find_loss(some, layer[depth - 1].z, &total, &right);
    }
    for (int i = 0; i < L && first_trial + i < trials; i++) {
      part.losses[first_trial + i] = total.of[i];
      part.right[first_trial + i] = right.of[i];
    }
    return true;
  }

  /// Copies an array of layer l between every lane and `values`, [trial][output][input] or [trial][output], inputs in the
  /// order in which the layer stores them. Arrays 0 to 5 are parameters, of which `moment` 1 and 2 are what the optimizer
  /// keeps; 6 to 9 are statistics, 10 and 11 online norm's errors.
  void copy(int l, int array, int moment, float* values, bool writes) {
    Layer& a = layer[l];
    const Norm& norm = a.norm;
    const Parameter* parameters[] = {&a.weight, &a.bias, &norm.gamma, &norm.beta, &norm.learned_eps, &norm.threshold};
    v* const statistics[] = {norm.running_mean, norm.running_var, norm.given_mean, norm.given_var, norm.error_along_y, norm.error_along_one};
    v* stored = array >= 6 ? statistics[array - 6]
                : moment == 0 ? parameters[array]->value
                : moment == 1 ? parameters[array]->first : parameters[array]->second;
    const LayerSpec& s = a.spec;
    const bool matrix = array == 0;
    // Channels of the input lie `padded` apart, of which the last ones only fill a block of four.
    const int places = !matrix ? 1 : s.conv ? 9 : l ? (int)layer[l - 1].positions : 1;
    const int inputs = !matrix ? 1 : s.conv || !l ? s.inputs : layer[l - 1].spec.outputs;
    const int padded = !matrix ? 1 : s.conv ? a.conv.CI : a.linear.I / places;
    const long rows = (long)places * inputs, all_inputs = (long)places * padded;
    for (int o = 0; o < s.outputs; o++)
      for (int p = 0; p < places; p++)
        for (int i = 0; i < inputs; i++) {
          v& x = matrix ? stored[((long)(o / 4) * all_inputs + p * padded + i) * 4 + o % 4] : stored[o];
          for (int lane = 0; lane < L; lane++) {
            float& value = values[((long)trial_of(lane) * s.outputs + o) * rows + (long)p * inputs + i];
            if (writes) set_lane(x, lane, value);
            else if (first_trial + lane < trials) value = get_lane(x, lane);
          }
        }
  }

  /// The mean and the variance by which layer l's norm normalized last, [trial][channel].
  void last_statistics(int l, double* mean, double* var) const {
    const Layer& a = layer[l];
    for (int i = 0; i < L && first_trial + i < trials; i++)
      for (int c = 0; c < a.spec.outputs; c++) {
        mean[(long)(first_trial + i) * a.spec.outputs + c] = a.norm.mean[c].of[i];
        var[(long)(first_trial + i) * a.spec.outputs + c] = a.norm.var[c].of[i];
      }
  }
};
