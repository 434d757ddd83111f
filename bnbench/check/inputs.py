"""The inputs of a check: drawn once and for all, with channels of which one varies little beside its mean."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

FEATURES = 3
GAMMA = np.array([1.5, 0.7, -1.2])
BETA = np.array([0.3, -0.8, 0.1])
_MEANS = np.array([-1.0, 0.5, 2.0])
_DEVIATIONS = np.array([1.0, 0.02, 2.5])  # the second's variance, 4e-4, is one that eps is seen beside

SHAPES = {2: (8, FEATURES), 3: (4, FEATURES, 5), 4: (4, FEATURES, 2, 3), 5: (2, FEATURES, 2, 2, 3)}
"""(N, C, …) by the number of axes."""


def per_channel(values: np.ndarray, ndim: int) -> np.ndarray:
    """(C,) as (1, C, 1, …)."""
    return values.reshape(1, -1, *[1] * (ndim - 2))


def batch(ndim: int, number: int) -> np.ndarray:
    """The training batch of that number, (N, C, …)."""
    noise = np.random.default_rng([7, ndim, number]).normal(size=SHAPES[ndim])
    return per_channel(_MEANS, ndim) + per_channel(_DEVIATIONS, ndim) * noise


def upstream(ndim: int) -> np.ndarray:
    """The gradient that reaches the output."""
    return np.random.default_rng([8, ndim]).normal(size=SHAPES[ndim])


def probe(ndim: int, number: int) -> np.ndarray:
    """An input for evaluation, of other statistics than any batch."""
    noise = np.random.default_rng([9, ndim, number]).uniform(-2, 2, size=SHAPES[ndim])
    return (3.0 * number - 1.0) + (1.0 + number) * noise


def small(ndim: int) -> Iterator[np.ndarray]:
    """Inputs to show a difference by, the smallest first, of one channel and then of two."""
    places = (1,) * (ndim - 2)
    for features in (1, 2):
        for n in (2, 3):
            for scale in (1.0, 0.01):
                values = np.arange(n * features).reshape(n, features) ** 2 * scale + 1.0
                yield values.reshape(n, features, *places)
    if ndim > 2:
        for features in (1, 2):
            shape = (2, features, *[2] * (ndim - 2))
            yield np.arange(np.prod(shape)).reshape(shape) ** 2 + 1.0
