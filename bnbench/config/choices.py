"""The enums of the configuration: each key whose value is one of a few words has one here.

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
    own = "own"  # for model=custom alone: the weights stay as its function returned them
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

    torch = "torch"  # one row or column on every side
    same = "same"  # as TensorFlow pads: where stride 2 halves an even size, nothing before and one after


class Placement(StrEnum):
    before = "before"
    after = "after"


class LogitsNorm(StrEnum):
    """Whether the logits are normalized too."""

    none = "none"
    plain = "plain"  # they are, without an affine
    affine = "affine"  # they are, with one


class Averaging(StrEnum):
    exponential = "exponential"
    cumulative = "cumulative"


class RunningVar(StrEnum):
    unbiased = "unbiased"  # divisor N - 1, PyTorch's
    biased = "biased"  # divisor N, as in Keras 3 and in TensorFlow's low-level code
    fused = "fused"  # divisor N - 1 on images, N on features: TensorFlow's layers use a fused kernel for images


class Preset(StrEnum):
    torch = "torch"
    tensorflow = "tensorflow"  # tf.layers and Keras 2
    keras = "keras"  # Keras 3


class Impl(StrEnum):
    native = "native"  # torch's batch norm kernel
    manual = "manual"  # the formula, written out


class Statistics(StrEnum):
    """Which statistics a norm over the batch uses when the network is evaluated."""

    running = "running"  # the averages kept while training
    batch = "batch"  # those of the batch being evaluated
    precise = "precise"  # those of the training images under the present weights: PreciseBN
    initial = "initial"  # mean 0 and variance 1, as if no average had ever been updated


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

    quick = "quick"  # what the sweep's file says
    full = "full"  # that, with the overrides in its `sweep.full`


class Until(StrEnum):
    """How long a sweep goes on."""

    seeds = "seeds"  # until the seeds that it names are trained
    settled = "settled"  # until its contrasts are settled, seeds being added where they are not
    claims = "claims"  # until the claims that are judged on it are settled, likewise


class Loss(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"


class Device(StrEnum):
    """Where a trial is trained."""

    auto = "auto"  # a GPU where there is one
    cpu = "cpu"
    cuda = "cuda"


class Engine(StrEnum):
    """What trains a trial."""

    auto = "auto"  # lanes where the configuration allows it
    lanes = "lanes"  # bnbench's own kernels, on a CPU: one trial in each lane of a vector
    torch = "torch"


class LogModel(StrEnum):
    """Which trained network is saved with a sweep."""

    none = "none"
    best = "best"  # the best arm's trial of highest validation accuracy, trained once more at the end


class Measure(StrEnum):
    """What is measured in a trial beside loss and accuracy, at some of the steps at which it is evaluated."""

    gradients = "gradients"  # the gradient's norm in each layer
    activations = "activations"  # their percentiles and drift, saturated and dead units
    effective_lr = "effective_lr"  # the learning rate over the squared norm of the weights
    rank = "rank"  # the soft rank of the last hidden layer's outputs
    population_gap = "population_gap"  # accuracy with running statistics and with those of the training images
    shift = "shift"  # internal covariate shift
    smoothness = "smoothness"  # how the loss varies along one step of the optimizer
    hessian = "hessian"  # extreme eigenvalues of the Hessian of the loss, at the start, once between and at the end
    last_batch = "last_batch"  # accuracy and loss, in inference mode, on the batch just trained on
    test_shift = "test_shift"  # test accuracy on shifted images, at the end


class Precision(StrEnum):
    float32 = "float32"
    float64 = "float64"
