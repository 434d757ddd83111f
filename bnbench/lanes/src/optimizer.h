// The optimizers' updates, as torch.optim defines them; each number in which two trials may differ is a vector.
#pragma once
#include "memory.h"

/// A parameter and what an optimizer keeps of it: `first` is SGD's momentum or Adam's mean, `second` Adam's mean square.
struct Parameter {
  v *value = nullptr, *first = nullptr, *second = nullptr;

  void take(Arena& memory, long count, int moments) {
    value = memory.take<v>(count);
    first = moments > 0 ? memory.take<v>(count) : nullptr;
    second = moments > 1 ? memory.take<v>(count) : nullptr;
  }
};

enum OptimizerKind { SGD = 0, MOMENTUM = 1, NESTEROV = 2, ADAM = 3, ADAMW = 4 };

struct Optimizer {
  int kind = SGD;
  bool decays = false;
  v minus_lr, weight_decay, momentum;
  v keep1, new1, keep2, new2, eps;  // Adam: beta1, 1 - beta1, beta2, 1 - beta2
  v minus_step, square_correction;  // Adam: -lr / (1 - beta1^t) and 1 / sqrt(1 - beta2^t)
  v kept_by_decay;                  // AdamW: 1 - lr * weight_decay

  int moments() const { return kind == SGD ? 0 : kind < ADAM ? 1 : 2; }

  /// One whose step adds the gradient.
  static Optimizer sum() {
    Optimizer optimizer;
    optimizer.minus_lr = all(1.0f);
    return optimizer;
  }

  /// Whether a step is w - lr * gradient and nothing else, which a product can take where its sum ends.
  bool is_plain() const { return kind == SGD && !decays; }

  /// Moves n numbers of the parameter, from `at` on, by their gradient g.
  void update(const Parameter& p, long at, const v* g, long n) const {
    v *w = p.value + at, *first = p.first + at, *second = p.second + at;
    if (kind >= ADAM) return adam(w, first, second, g, n);
    const v decay = decays ? weight_decay : all(0.0f);
    if (kind == SGD) {
      for (long i = 0; i < n; i++) w[i] = fma(minus_lr, fma(decay, w[i], g[i]), w[i]);
      return;
    }
    for (long i = 0; i < n; i++) {
      const v gradient = fma(decay, w[i], g[i]);
      first[i] = fma(momentum, first[i], gradient);
      w[i] = fma(minus_lr, kind == NESTEROV ? fma(momentum, first[i], gradient) : first[i], w[i]);
    }
  }

 private:
  void adam(v* w, v* first, v* second, const v* g, long n) const {
    const v coupled = decays && kind == ADAM ? weight_decay : all(0.0f);
    const v kept = decays && kind == ADAMW ? kept_by_decay : all(1.0f);
    for (long i = 0; i < n; i++) {
      const v gradient = fma(coupled, w[i], g[i]);
      const v mean = fma(keep1, first[i], new1 * gradient), square = fma(keep2, second[i], new2 * gradient * gradient);
      first[i] = mean;
      second[i] = square;
      w[i] = fma(minus_step, mean / fma(root(square), square_correction, eps), w[i] * kept);
    }
  }
};
