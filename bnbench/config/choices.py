"""The closed choices among the configuration's values, each with its words.

Members are lower case because OmegaConf matches enums by name and users type them.
"""

from __future__ import annotations

from enum import StrEnum


class SplitKind(StrEnum):
    fixed = "fixed"
    by_seed = "by_seed"


class Scaling(StrEnum):
    unit = "unit"
    symmetric = "symmetric"
    standard = "standard"
    raw = "raw"
    binary = "binary"


class Init(StrEnum):
    own = "own"  # of model=custom: as its function made them
    torch = "torch"
    kaiming_uniform = "kaiming_uniform"
    kaiming_normal = "kaiming_normal"
    xavier_uniform = "xavier_uniform"
    xavier_normal = "xavier_normal"
    normal = "normal"
    truncated_normal = "truncated_normal"
    orthogonal = "orthogonal"


class Activation(StrEnum):
    relu = "relu"
    leaky_relu = "leaky_relu"
    elu = "elu"
    gelu = "gelu"
    silu = "silu"
    softplus = "softplus"
    sigmoid = "sigmoid"
    tanh = "tanh"
    identity = "identity"


class Bias(StrEnum):
    auto = "auto"
    always = "always"
    never = "never"


class Padding(StrEnum):
    """How 3x3 convs are padded with zeros."""

    torch = "torch"  # 1 on every side
    same = "same"  # TensorFlow's: where stride 2 halves an even size, 0 before and 1 after


class Placement(StrEnum):
    before = "before"
    after = "after"


class LogitsNorm(StrEnum):
    """Whether the logits are normalized too."""

    none = "none"
    plain = "plain"  # without an affine
    affine = "affine"


class Averaging(StrEnum):
    exponential = "exponential"
    cumulative = "cumulative"


class RunningVar(StrEnum):
    unbiased = "unbiased"  # divisor N - 1, PyTorch's
    biased = "biased"  # divisor N, that of Keras 3 and of TensorFlow's low-level code
    fused = "fused"  # N - 1 on images, N on features: that of TensorFlow's layers, whose kernel for images is fused


class Preset(StrEnum):
    torch = "torch"
    tensorflow = "tensorflow"  # tf.layers and Keras 2
    keras = "keras"  # Keras 3


class Impl(StrEnum):
    native = "native"  # torch's batch norm kernel
    manual = "manual"  # the formula, written out


class Statistics(StrEnum):
    """What an evaluation normalizes with, in norms over the batch."""

    running = "running"  # the averages kept while training
    batch = "batch"  # the evaluated batch's own
    precise = "precise"  # the training images' under the present weights: PreciseBN
    initial = "initial"  # mean 0 and variance 1: averages that were never updated


class SingleValue(StrEnum):
    error = "error"
    constant = "constant"


class LrScaling(StrEnum):
    none = "none"
    linear = "linear"
    sqrt = "sqrt"


class EvalGrid(StrEnum):
    geometric = "geometric"
    linear = "linear"


class Size(StrEnum):
    """How much a sweep trains."""

    quick = "quick"  # its file as it stands
    full = "full"  # with its `sweep.full`


class Loss(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"


class Device(StrEnum):
    """Where a trial is trained."""

    auto = "auto"  # a GPU where there is one
    cpu = "cpu"
    cuda = "cuda"


class LogModel(StrEnum):
    """Which networks are kept with a sweep."""

    none = "none"
    best = "best"  # the best arm's best by validation accuracy, trained once more at the end


class Measure(StrEnum):
    """What is measured of a trial beside loss and accuracy, on a part of the evaluation grid."""

    gradients = "gradients"  # their norm by layer
    activations = "activations"  # percentiles, saturated and dead units, drift
    effective_lr = "effective_lr"  # learning rate over squared weight norm
    rank = "rank"  # of the last hidden layer
    population_gap = "population_gap"  # accuracy under running and under the training images' statistics
    shift = "shift"  # internal covariate shift
    smoothness = "smoothness"  # of the loss along a step
    hessian = "hessian"  # its extreme eigenvalues, at the start, once between and at the end
    last_batch = "last_batch"  # accuracy and loss on the batch just trained on, in inference mode
    test_shift = "test_shift"  # test accuracy on shifted images, at the end


class Precision(StrEnum):
    float32 = "float32"
    float64 = "float64"
