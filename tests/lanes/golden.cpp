// Trains small networks from inputs made of whole numbers, and prints a hash of what came out: one line for each network,
// the same on every machine. `test_lanes_machines.py` compiles it for several kinds of processors.
#include <stdio.h>

#include "network.h"

constexpr int IMAGES = 300, STEPS = 8, SIDE = 28, MOST = 20;

static uint64_t hash;
static void add(const void* bytes, size_t count) {
  for (size_t i = 0; i < count; i++) hash = (hash ^ ((const uint8_t*)bytes)[i]) * 1099511628211ull;
}

static uint32_t mixed(uint64_t i) {
  uint64_t x = i * 2654435761u + 12345;
  x ^= x >> 15;
  x *= 2246822519u;
  return (uint32_t)(x ^ (x >> 13));
}

static LayerSpec conv(int side, int inputs, int outputs, int stride, int activation, int norm) {
  LayerSpec spec{};
  spec.conv = 1;
  spec.height = spec.width = side;
  spec.inputs = inputs;
  spec.stride = stride;
  spec.left = spec.top = 1;
  spec.height_out = spec.width_out = (side + stride - 1) / stride;
  spec.outputs = outputs;
  spec.bias = norm != BEFORE;
  spec.activation = activation;
  spec.norm = norm;
  spec.group = spec.centered = spec.running = spec.affine = spec.unbiased = 1;
  spec.eps = 1e-5;
  return spec;
}

static LayerSpec linear(int inputs, int outputs, int activation, int norm) {
  LayerSpec spec = conv(1, inputs, outputs, 1, activation, norm);
  spec.conv = spec.left = spec.top = 0;
  return spec;
}

/// Gives the weights of layer l values that depend on the trial; the channels that only fill a block of four stay zero.
static void fill(Network& net, int l) {
  Layer& a = net.layer[l];
  const long inputs = a.spec.conv ? 9L * a.conv.CI : a.linear.I;
  const int channels = l ? net.layer[l - 1].C : a.spec.inputs, real = l ? net.layer[l - 1].spec.outputs : channels;
  float scale = 1;
  while (scale * scale * inputs > 3) scale /= 2;
  for (long o = 0; o < a.spec.outputs; o++)
    for (long i = 0; i < inputs; i++)
      for (int lane = 0; lane < L && i % channels < real; lane++) {
        const uint32_t drawn = mixed((l * 1000003ull + o * 5003 + i) * PACK + net.first_trial + lane) % 65536;
        set_lane(a.weight.value[(o / 4 * inputs + i) * 4 + o % 4], lane, ((int)drawn - 32768) / 32768.0f * scale);
      }
}

static void train(const char* name, const LayerSpec* layers, int depth, int batch_size, int optimizer, int loss, bool decays = true) {
  double momentum[PACK], beta1[PACK], beta2[PACK], eps[PACK], decay[PACK], norm_momentum[PACK], dropout[PACK];
  int64_t seeds[MOST_LAYERS * 2 * PACK];
  float scale[PACK], shift[PACK];
  for (int t = 0; t < PACK; t++) {
    momentum[t] = 0.5 + t / 40.0;
    beta1[t] = 0.9 - t / 100.0;
    beta2[t] = 0.99;
    eps[t] = 1e-6;
    decay[t] = decays ? t / 1000.0 : 0;
    norm_momentum[t] = 0.1 + t / 40.0;
    dropout[t] = 0.1 + t / 20.0;
    scale[t] = 1 / 256.0f;
    shift[t] = -0.25f * (t % 3);
  }
  const NetworkSpec spec{depth, batch_size, PACK, 1, loss, optimizer, 0, layers, momentum, beta1, beta2, eps, decay, norm_momentum, dropout, seeds};
  static uint8_t images[IMAGES * SIDE * SIDE];
  static int64_t labels[IMAGES], rows[STEPS * PACK * MOST];
  double lrs[STEPS * PACK], losses[STEPS * PACK], right[STEPS * PACK];
  for (int i = 0; i < IMAGES * SIDE * SIDE; i++) images[i] = (uint8_t)(mixed(i) >> 9);
  for (int i = 0; i < depth * 2 * PACK; i++) seeds[i] = (int64_t)mixed(i + 5) << 31 ^ mixed(i + 6);
  for (int i = 0; i < IMAGES; i++) labels[i] = mixed(i + 77) % 10;
  for (int i = 0; i < STEPS * PACK * batch_size; i++) rows[i] = mixed(i + 999) % IMAGES;
  for (int i = 0; i < STEPS * PACK; i++) lrs[i] = 0.01 * (1 + i % 7);
  static Network networks[PACK / L];
  for (int k = 0; k < PACK / L; k++) {
    Network& net = networks[k] = Network();
    net.open(spec, k * L);
    for (int l = 0; l < depth; l++) {
      fill(net, l);
      for (int c = 0; (net.layer[l].spec.frozen || net.layer[l].spec.r_max > 0) && c < net.layer[l].C; c++) net.layer[l].norm.running_var[c] = all(1.0f);
    }
    net.train({{images, labels, scale, shift}, rows, lrs, losses, right}, STEPS);
  }
  hash = 1469598103934665603ull;
  add(losses, sizeof losses);
  add(right, sizeof right);
  for (int l = 0; l < depth; l++) {
    const Layer& first = networks[0].layer[l];
    const long weights = first.spec.conv ? first.conv.weights() : (long)first.linear.I * first.linear.O;
    for (long i = 0; i < weights + first.spec.outputs; i++)
      for (int t = 0; t < PACK; t++) {
        const Layer& a = networks[t / L].layer[l];
        const float value = get_lane(i < weights ? a.weight.value[i] : a.norm.running_var[i - weights], t % L);
        add(&value, sizeof value);
      }
  }
  printf("%s %016llx\n", name, (unsigned long long)hash);
  for (Network& net : networks) net.close();
}

/// A norm of a layer's output, of those that are not of a channel of the whole batch.
struct Kind {
  const char* name;
  int examples, groups, centered;  // `groups`: of channels, 0 for each channel
  int thresholds, frozen, standardized;
  double r_max, d_max;
};

static LayerSpec with(const Kind& kind, LayerSpec spec) {
  spec.examples = kind.examples;
  spec.group = kind.groups ? spec.outputs / kind.groups : 1;
  spec.centered = kind.centered;
  spec.thresholds = kind.thresholds;
  spec.running = kind.examples != 1;
  spec.frozen = kind.frozen;
  spec.standardized = kind.standardized;
  spec.r_max = kind.r_max;
  spec.d_max = kind.d_max;
  return spec;
}

static void train_norms() {
  const Kind kinds[] = {{"layer", 1, 1, 1}, {"group", 1, 3, 1}, {"instance", 1, 0, 1}, {"rms", 1, 1, 0}, {"ghost", 3, 0, 1},
                        {"filter response", 1, 0, 0, 1}, {"frozen", 0, 0, 1, 0, 1}, {"standardized", 1, 3, 1, 0, 0, 1}, {"renorm", 0, 0, 1, 0, 0, 0, 2, 0.5}};
  for (const Kind& kind : kinds)
    for (int place = BEFORE; place <= AFTER; place++) {
      char name[64];
      const LayerSpec fc[] = {with(kind, linear(SIDE * SIDE, 18, TANH, place)), with(kind, linear(18, 9, SIGMOID, place)),
                              linear(9, 10, IDENTITY, NO_NORM)};
      snprintf(name, sizeof name, "fc %s %d", kind.name, place);
      train(name, fc, 3, 15, MOMENTUM, SOFTMAX_LOSS);
      if ((&kind - kinds) % 2 != place % 2) continue;  // each norm in one place, which takes an emulator long enough
      const LayerSpec cnn[] = {with(kind, conv(28, 1, 3, 1, RELU, place)), with(kind, conv(28, 3, 6, 2, GELU, place)),
                               with(kind, conv(14, 6, 9, 2, TANH, place)), linear(7 * 7 * 9, 10, IDENTITY, NO_NORM)};
      snprintf(name, sizeof name, "cnn %s %d", kind.name, place);
      train(name, cnn, 4, 6, ADAM, SIGMOID_LOSS);
    }
}

static LayerSpec noisy(LayerSpec spec) {
  spec.noisy = 1;
  spec.noise_shift = 0.5;
  spec.noise_scale = 1.25;
  return spec;
}

static LayerSpec dropped(LayerSpec spec) {
  spec.drops = 1;
  return spec;
}

/// Networks that draw numbers while they train, or normalize their logits.
static void train_draws() {
  const LayerSpec few[] = {dropped(linear(SIDE * SIDE, 18, TANH, NO_NORM)), dropped(linear(18, 9, GELU, NO_NORM)), linear(9, 10, IDENTITY, NO_NORM)};
  train("fc dropout of few", few, 3, 3, SGD, SOFTMAX_LOSS);
  const LayerSpec fc[] = {dropped(noisy(linear(SIDE * SIDE, 18, SIGMOID, BEFORE))), dropped(noisy(linear(18, 9, SILU, AFTER))),
                          noisy(linear(9, 10, IDENTITY, BEFORE))};
  train("fc noise", fc, 3, 15, ADAM, SOFTMAX_LOSS);
  const LayerSpec cnn[] = {dropped(noisy(conv(28, 1, 3, 1, RELU, AFTER))), dropped(conv(28, 3, 6, 2, SOFTPLUS, BEFORE)),
                           dropped(noisy(conv(14, 6, 9, 2, TANH, BEFORE))), linear(7 * 7 * 9, 10, IDENTITY, AFTER)};
  train("cnn noise", cnn, 4, 6, MOMENTUM, SIGMOID_LOSS);
}

static LayerSpec online(LayerSpec spec) {
  spec.online = spec.examples = 1;
  spec.decay_forward = 0.9;
  spec.decay_backward = 0.8;
  spec.clamp = 1.5;
  return spec;
}

static void train_online() {
  const LayerSpec fc[] = {online(linear(SIDE * SIDE, 18, TANH, AFTER)), online(linear(18, 9, GELU, BEFORE)), online(linear(9, 10, IDENTITY, BEFORE))};
  train("fc online", fc, 3, 3, SGD, SOFTMAX_LOSS);
  const LayerSpec cnn[] = {online(conv(28, 1, 3, 1, RELU, BEFORE)), online(conv(28, 3, 6, 2, SOFTPLUS, AFTER)),
                           online(conv(14, 6, 9, 2, TANH, BEFORE)), linear(7 * 7 * 9, 10, IDENTITY, NO_NORM)};
  train("cnn online", cnn, 4, 6, ADAM, SOFTMAX_LOSS);
}

int main() {
  const char* activations[] = {"identity", "relu", "leaky_relu", "tanh", "sigmoid", "elu", "gelu", "silu", "softplus"};
  const char* optimizers[] = {"sgd", "momentum", "nesterov", "adam", "adamw"};
  for (int f = IDENTITY; f <= SOFTPLUS; f++) {
    char name[64];
    const LayerSpec fc[] = {linear(SIDE * SIDE, 20, f, f % 3), linear(20, 9, f, (f + 1) % 3), linear(9, 10, IDENTITY, NO_NORM)};
    snprintf(name, sizeof name, "fc %s %s", activations[f], optimizers[f % 5]);
    train(name, fc, 3, f % 2 ? MOST : 1 + f, f % 5, f % 2);
    const LayerSpec cnn[] = {conv(28, 1, 4, 1, f, f % 3), conv(28, 4, 6, 2, f, (f + 1) % 3), conv(14, 6, 8, 2, f, BEFORE),
                             linear(7 * 7 * 8, 12, f, AFTER), linear(12, 10, IDENTITY, NO_NORM)};
    snprintf(name, sizeof name, "cnn %s %s", activations[f], optimizers[(f + 2) % 5]);
    train(name, cnn, 5, 5, (f + 2) % 5, f % 2);
  }
  train_norms();
  train_draws();
  train_online();
  // Without weight decay SGD on few examples finds what the first layer's weights make of them for several steps together.
  const LayerSpec fc[] = {linear(SIDE * SIDE, 18, RELU, NO_NORM), linear(18, 9, RELU, NO_NORM), linear(9, 10, IDENTITY, NO_NORM)};
  train("fc 1 example", fc, 3, 1, SGD, SOFTMAX_LOSS, false);
  train("fc 3 examples", fc, 3, 3, SGD, SIGMOID_LOSS, false);
}
