"""Thousands of made-up sweeps at once, settled as `settle` settles one; `test_simulated_sweeps` holds the two together.

Differences are in units of their standard deviation. A contrast's state is 0 while it is open, 1 and 2 where a or b was
found larger, 3 where the two were found equivalent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bnbench.analysis.sequential.boundaries import nominal_levels
from bnbench.analysis.sequential.evidence import Evidence, weigh

A_LARGER, B_LARGER, EQUIVALENT = 1, 2, 3

Levels = Callable[[float, tuple[int, ...]], tuple[float, ...]]
"""From a one-sided level and the looks to the nominal level of each look."""

KINDS = ("normal", "rounded", "skewed", "skewed to the left")


def draw(kind: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Differences with mean 0 and a standard deviation of 1.

    "rounded" are differences of accuracies on 1,000 images with a standard deviation of .3 percentage points, which
    take a dozen values; "skewed" are lognormal, with a skewness of 1.75.
    """
    normal = generator.standard_normal(shape)
    if kind == "rounded":
        return np.round(3 * normal) / np.sqrt(9 + 1 / 12)
    if kind.startswith("skewed"):
        variance = np.expm1(0.25) * np.exp(0.25)
        right = (np.exp(0.5 * normal) - np.exp(0.125)) / np.sqrt(variance)
        return -right if "left" in kind else right
    return normal


class Family(NamedTuple):
    """The contrasts of one sweep: each with its true mean, and its margin or None."""

    effects: tuple[float, ...]
    margins: tuple[float | None, ...]

    @property
    def truth(self) -> np.ndarray:
        """The state in which each contrast should end; 0 where none would be right."""
        pairs = zip(self.effects, self.margins, strict=True)
        return np.array([self._state(effect, margin) for effect, margin in pairs])

    @staticmethod
    def _state(effect: float, margin: float | None) -> int:
        if abs(effect) > (margin or 0):
            return A_LARGER if effect > 0 else B_LARGER
        return EQUIVALENT if margin is not None and abs(effect) < margin else 0

    def draw(self, kind: str, sweeps: int, pairs: int, generator: np.random.Generator) -> np.ndarray:
        """Differences of independent arms, shape (sweeps, contrasts, pairs)."""
        return np.array(self.effects)[:, None] + draw(kind, (sweeps, len(self.effects), pairs), generator)


def mixed_family(size: int, *, margin_for_all: bool = False) -> Family:
    """A third without an effect and with a margin of .5, a third small (.3), a third large (1.5)."""
    small = 0.5 if margin_for_all else None
    return Family((0.0, 0.3, 1.5) * (size // 3), (0.5, small, small) * (size // 3))


class Settled(NamedTuple):
    """How simulated sweeps ended; each array has the shape (sweeps, contrasts).

    Attributes:
        state: See the module.
        look: The look at which each contrast was settled, or the last.
        rivals: How many contrasts were open when each one was tested last, at each look: (sweeps, contrasts, looks).
        pairs: The pairs trained of each contrast.
    """

    state: np.ndarray
    look: np.ndarray
    rivals: np.ndarray
    pairs: np.ndarray

    def false(self, family: Family) -> np.ndarray:
        """Which sweeps concluded anything that is false, shape (sweeps,)."""
        return ((self.state != 0) & (self.state != family.truth)).any(1)

    def right(self, family: Family) -> float:
        """The share of contrasts that were settled as they should be."""
        return float((self.state == family.truth).mean())


def evidence_at(
    differences: np.ndarray,
    margins: Sequence[float | None],
    looks: Sequence[int],
    test: Callable[..., Evidence] = weigh,
) -> list[Evidence]:
    """The p values of each contrast at each look."""
    found = []
    for pairs in looks:
        each = [test(differences[:, i, :pairs], margin) for i, margin in enumerate(margins)]
        found.append(Evidence(*(np.stack(values, axis=1) for values in zip(*each, strict=True))))
    return found


def settle_all(
    evidence: Sequence[Evidence], looks: tuple[int, ...], levels: Levels = nominal_levels, alpha: float = 0.05
) -> Settled:
    """Settle each sweep, by the p values of its contrasts at each look."""
    sweeps, contrasts = evidence[0].above.shape
    side = np.array([levels(alpha / n / 2, looks) for n in range(1, contrasts + 1)])
    within = np.array([levels(alpha / n, looks) for n in range(1, contrasts + 1)])
    state = np.zeros((sweeps, contrasts), dtype=int)
    look = np.full((sweeps, contrasts), len(looks) - 1)
    rivals = np.ones((sweeps, contrasts, len(looks)), dtype=int)
    for k, found in enumerate(evidence):
        while True:
            still_open = state == 0
            n = np.maximum(still_open.sum(1), 1)[:, None]
            rivals[:, :, k] = np.where(still_open, n, rivals[:, :, k])
            new = np.where(found.within <= within[n - 1, k], EQUIVALENT, 0)
            new = np.where(found.below <= side[n - 1, k], B_LARGER, new)
            new = np.where(found.above <= side[n - 1, k], A_LARGER, new) * still_open
            if not new.any():
                break
            state += new
            look[new != 0] = k
    return Settled(state, look, rivals, np.array(looks)[look])


def simulate(family: Family, kind: str, looks: tuple[int, ...], sweeps: int, seed: int) -> tuple[np.ndarray, Settled]:
    """Sweeps of one family, as bnbench settles them, with their differences."""
    differences = family.draw(kind, sweeps, looks[-1], np.random.default_rng(seed))
    return differences, settle_all(evidence_at(differences, family.margins, looks), looks)


def fixed_pairs(family: Family, differences: np.ndarray, power: float, test: Callable[..., Evidence] = weigh) -> float:
    """With how many pairs sweeps that look once settle this share of their contrasts rightly, corrected by Holm."""
    sizes = [8, 10, 12, *range(16, differences.shape[-1] + 1, 4)]
    reached = []
    for pairs in sizes:
        found = settle_all(
            evidence_at(differences, family.margins, (pairs,), test), (pairs,), lambda level, _: (level,)
        )
        reached.append(found.right(family))
    return float(np.interp(power, reached, sizes))
