"""The state that a NumPy batch norm carries from call to call: a dict that is checked and updated in place."""

from __future__ import annotations

from typing import Required, TypedDict

import numpy as np

MODES = ("train", "test")
_REQUIRED = ("mode", "eps", "momentum")


class BatchNormState(TypedDict, total=False):
    """The `bn_param` of the NumPy tutorials, a plain dict at run time.

    Its `momentum` is torch's, the weight of the *new* batch. The tutorials' `momentum` 0.9 is the weight of the old
    statistics, as are TensorFlow's `decay` and Keras' `momentum`: pass `decay_to_momentum(0.9)`.

    Attributes:
        mode: "train" (the batch's statistics, blended into the running ones) or "test" (the running ones).
        eps: Added to the variance, inside the root.
        momentum: Weight of the new batch in the running statistics, in [0, 1].
        running_mean: Running mean, shape (C,). If it is missing in train mode, it starts at 0, as in the tutorials.
        running_var: Running variance, shape (C,). If it is missing in train mode, it starts at 0; torch's starts at 1,
            see `torch_state`.
        ddof: 0 or 1, as in `np.var`: the variance of divisor N - ddof is blended into `running_var`. The batch is
            always normalized with divisor N. The default is 0.
    """

    mode: Required[str]
    eps: Required[float]
    momentum: Required[float]
    running_mean: np.ndarray
    running_var: np.ndarray
    ddof: int


def tutorial_state(
    features: int, *, mode: str = "train", eps: float = 1e-5, momentum: float = 0.1, ddof: int = 0
) -> BatchNormState:
    """The initial state of the NumPy tutorials: running variance 0, divisor N, and momentum 0.1 (0.9 in their words).

    In test mode before any training it divides by sqrt(eps), so that outputs are 316 times as large as inputs.
    """
    return BatchNormState(
        mode=mode,
        eps=eps,
        momentum=momentum,
        running_mean=np.zeros(features),
        running_var=np.zeros(features),
        ddof=ddof,
    )


def torch_state(
    features: int, *, mode: str = "train", eps: float = 1e-5, momentum: float = 0.1, ddof: int = 1
) -> BatchNormState:
    """torch's initial state: running variance 1, divisor N - 1. Test mode before any training hardly changes inputs."""
    state = tutorial_state(features, mode=mode, eps=eps, momentum=momentum, ddof=ddof)
    state["running_var"] = np.ones(features)
    return state


def decay_to_momentum(decay: float) -> float:
    """Torch's momentum, the weight of the new batch, from TensorFlow's decay, the weight of the old statistics.

    >>> decay_to_momentum(0.75)
    0.25
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay={decay} is the weight of the old statistics; allowed: 0 to 1")
    return 1 - decay


def momentum_to_decay(momentum: float) -> float:
    """TensorFlow's decay, the weight of the old statistics, from torch's momentum, the weight of the new batch.

    >>> momentum_to_decay(0.25)
    0.75
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum={momentum} is the weight of the new batch; allowed: 0 to 1")
    return 1 - momentum


def check_state(state: BatchNormState, features: int) -> None:
    """Raise an error for a state that would be misunderstood.

    Raises:
        ValueError: If a key is unknown or missing (with a misspelt `running_mean` the mean would start at 0 in every
            call), the mode is unknown, a value is out of range, or statistics have the wrong shape.
    """
    allowed = BatchNormState.__annotations__
    unknown = sorted(set(state) - set(allowed))
    if unknown:
        raise ValueError(f"bn_param has unknown keys {unknown}; allowed: {', '.join(allowed)}")
    missing = [key for key in _REQUIRED if key not in state]
    if missing:
        raise ValueError(f"bn_param lacks {missing}; tutorial_state(C) and torch_state(C) make a complete one")
    if state["mode"] not in MODES:
        raise ValueError(f"mode={state['mode']!r} is unknown; allowed: {', '.join(MODES)}")
    if not 0 <= state["momentum"] <= 1:
        raise ValueError(f"momentum={state['momentum']} is the weight of the new batch; allowed: 0 to 1")
    if not 0 <= state["eps"] < np.inf:
        raise ValueError(f"eps={state['eps']} is added to a variance; allowed: finite, at least 0")
    if state.get("ddof", 0) not in (0, 1):
        raise ValueError(f"ddof={state['ddof']} is subtracted from N in the running variance's divisor; allowed: 0, 1")
    _check_statistics(state, features)


def _check_statistics(state: BatchNormState, features: int) -> None:
    shapes = {name: np.shape(state[name]) for name in ("running_mean", "running_var") if name in state}
    if len(shapes) == 1 or (not shapes and state["mode"] == "test"):
        raise ValueError(f"mode={state['mode']!r} needs running_mean and running_var; found {list(shapes)}")
    for name, shape in shapes.items():
        if shape != (features,):
            raise ValueError(f"{name} has shape {shape}, the input has {features} channels")


def update_running(state: BatchNormState, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
    """Blend one batch's statistics into the running ones: (1 - momentum) * old + momentum * new.

    With one value per channel the variance of divisor N - 1 does not exist: `running_var` then stays as it was, and
    never becomes NaN.

    Args:
        state: The state, in which arrays are replaced; they are not written into.
        mean: Mean of the batch, shape (C,).
        variance: Variance of the batch with divisor N, shape (C,).
        count: N, the number of values per channel in this batch, including positions.
    """
    momentum, ddof = state["momentum"], state.get("ddof", 0)
    old_mean = state.get("running_mean", np.zeros_like(mean))
    old_var = state.get("running_var", np.zeros_like(variance))
    state["running_mean"] = (1 - momentum) * old_mean + momentum * mean
    if count > ddof:
        variance = variance * count / (count - ddof)
        state["running_var"] = (1 - momentum) * old_var + momentum * variance
    else:
        state["running_var"] = old_var
