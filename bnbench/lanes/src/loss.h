// The losses: logits [example][padded classes] become the gradient of the batch's mean loss, in place.
#pragma once
#include "channels.h"
#include "functions.h"

enum Loss { SOFTMAX_LOSS = 0, SIGMOID_LOSS = 1 };

/// 1 where the label's logit is the first of the largest, as argmax finds it, else 0.
static inline v is_right(const v* logits, vi label, int classes) {
  v top = logits[0], hit = all(0.0f), open = all(1.0f);
  for (int c = 1; c < classes; c++) top = larger(top, logits[c]);
  for (int c = 0; c < classes; c++) {
    const v first = open * equal(as_int(logits[c] - top + all(0.0f)), all(0), all(1.0f));
    open = open - first;
    hit = fma(first, equal(label, all(c), all(1.0f)), hit);
  }
  return hit;
}

/// Cross-entropy in nats; `share` is 1 / N.
static inline v softmax_loss(v* logits, vi label, int classes, v share) {
  v top = logits[0], sum = all(0.0f), chosen = all(0.0f);
  for (int c = 1; c < classes; c++) top = larger(top, logits[c]);
  for (int c = 0; c < classes; c++) {
    const v x = logits[c] - top, e = exp_negative(x);
    sum = sum + e;
    chosen = chosen + equal(label, all(c), x);
    logits[c] = e;
  }
  const v over = all(1.0f) / sum;
  for (int c = 0; c < classes; c++) logits[c] = (logits[c] * over - equal(label, all(c), all(1.0f))) * share;
  return log(sum) - chosen;
}

/// The mean over outputs of each one's binary cross-entropy, softplus(x) - x * hot.
static inline v sigmoid_loss(v* logits, vi label, int classes, v share) {
  v sum = all(0.0f);
  const v each = all(1.0f) / all((float)classes);
  for (int c = 0; c < classes; c++) {
    const v x = logits[c], hot = equal(label, all(c), all(1.0f)), positive = relu(x);
    const v e = exp_negative(x - positive - positive), over = all(1.0f) / (all(1.0f) + e);  // e is exp(-|x|)
    const v small = e * over, sigmoid = where_larger(x, all(0.0f), over, small);
    sum = sum + (positive + log1p(e) - x * hot);
    logits[c] = (sigmoid - hot) * (each * share);
  }
  return sum * each;
}

/// Adds to `total` the losses of N examples, and to `right` how many are answered rightly.
static void take_loss(int loss, v* logits, const vi* labels, int N, int classes, int padded, Wide* total, Wide* right) {
  const v share = all(1.0f) / all((float)N);
  for (int n = 0; n < N; n++, logits += padded) {
    right->add(is_right(logits, labels[n], classes));
    total->add((loss == SOFTMAX_LOSS ? softmax_loss : sigmoid_loss)(logits, labels[n], classes, share));
    for (int c = classes; c < padded; c++) logits[c] = all(0.0f);
  }
}
