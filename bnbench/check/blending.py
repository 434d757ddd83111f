"""How running statistics may come about: what of each batch is blended, with which weight, from which start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MEANS = {
    "nothing": "nothing: it stays as it was",
    "mean": "the batch's mean",
    "first": "the first example's values",
    "normalized": "the mean of the normalized batch",
}
VARIANCES = {
    "nothing": "nothing: it stays as it was",
    "N": "the variance with divisor N",
    "N - 1": "the variance with divisor N - 1",
    "normalized": "the variance of the normalized batch",
    "examples": "the variance times n / (n - 1), with n examples whatever their positions",
    "deviation": "the standard deviation in place of the variance",
    "mean in place": "the batch's mean in place of its variance",
    "moment": "the mean of the squares, from which the mean is not subtracted",
    "root": "the square of the blended standard deviation",
}
"""What of a batch may be blended, in words."""

RIGHT = {"mean", "N", "N - 1"}
"""Those that batch norm blends."""


@dataclass(frozen=True)
class Blend:
    """A way in which a running statistic may follow its batches.

    Attributes:
        quantity: What of each batch is blended.
        kind: "average" with a constant weight; "debiased", the same but divided by 1 - (1 - weight)^t; "cumulative",
            where all batches weigh the same; "first", where the first batch is taken whole; "forgets", where each step
            starts anew.
        weight: Weight of the new batch.
        start: What it starts at, (C,); for "debiased" what is hidden behind the division.
    """

    quantity: str
    kind: str
    weight: float
    start: np.ndarray

    def follow(self, values: np.ndarray) -> np.ndarray:
        """The statistic after each step, (T, C), from the batches' values, (T, C)."""
        hidden, found = self.start, []
        for t, value in enumerate(values, start=1):
            weight = 1 / t if self.kind == "cumulative" or (self.kind == "first" and t == 1) else self.weight
            hidden = (1 - weight) * (self.start if self.kind == "forgets" else hidden) + weight * value
            found.append(hidden / (1 - (1 - weight) ** t) if self.kind == "debiased" else hidden)
        shown = np.array(found)
        return shown**2 if self.quantity == "root" else shown


def of_batch(x: np.ndarray, eps: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What `MEANS` and `VARIANCES` name, for one batch (N, C, …), each (C,); "nothing" has no value."""
    rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    n, count, variance = len(x), len(rows), rows.var(0)
    means = {"mean": rows.mean(0), "first": rows[0], "normalized": np.zeros(x.shape[1])}
    variances = {
        "N": variance,
        "N - 1": variance * count / max(count - 1, 1),
        "normalized": variance / (variance + eps),
        "examples": variance * n / max(n - 1, 1),
        "deviation": np.sqrt(variance),
        "mean in place": rows.mean(0),
        "moment": (rows**2).mean(0),
        "root": np.sqrt(variance),
    }
    return means, variances


def find_blend(
    quantities: Sequence[str],
    values: Mapping[str, np.ndarray],
    seen: Mapping[int, np.ndarray],
    tolerance: float,
    weights: Sequence[float] = (),
) -> Blend | None:
    """The blend that gives what was seen.

    Args:
        quantities: What may be blended, the most usual first.
        values: Of each quantity, its values in each batch, (T, C).
        seen: The statistic by the number of steps, with 1, 2 and 3 among them, each (C,).
        tolerance: The largest relative difference that counts as none.
        weights: Weights to try first.
    """
    steps = [step for step in seen if step > 0]
    target = np.array([seen[step] for step in steps])
    for quantity in quantities:
        for blend in _candidates(quantity, values, seen, weights):
            if blend.quantity == "nothing":
                got = np.tile(blend.start, (len(steps), 1))
            else:
                got = blend.follow(values[quantity])[[step - 1 for step in steps]]
            apart = np.abs(got - target) / (np.abs(target) + 1e-3)
            if apart.max() <= tolerance:
                return blend
    return None


def _candidates(
    quantity: str, values: Mapping[str, np.ndarray], seen: Mapping[int, np.ndarray], weights: Sequence[float]
) -> Iterator[Blend]:
    if quantity == "nothing":
        yield Blend(quantity, "average", 0.0, seen.get(0, seen[1]))
        return
    x = values[quantity]
    e1, e2 = (np.sqrt(np.abs(seen[t])) if quantity == "root" else seen[t] for t in (1, 2))
    zeros, ones = np.zeros_like(e1), np.ones_like(e1)
    with np.errstate(all="ignore"):
        share = float(np.median((e2 - e1) / (x[1] - e1)))
        hidden_one = float(np.median(1 / (e1 - x[0] + 1)))
    if not np.isfinite(share):
        return
    for weight in dict.fromkeys([*weights, float(f"{share:.3g}"), share]):
        if 0 < weight < 1:
            solved = (e1 - weight * x[0]) / (1 - weight)
            given = [seen[0]] if 0 in seen and quantity != "root" else []
            for start in (*given, zeros, ones):
                yield Blend(quantity, "average", weight, start)
            yield Blend(quantity, "first", weight, zeros)
            yield Blend(quantity, "average", weight, solved)
        elif abs(weight - 1) < 1e-6:
            yield Blend(quantity, "average", 1.0, seen.get(0, zeros))
    yield Blend(quantity, "cumulative", 0.0, zeros)
    with np.errstate(all="ignore"):
        alone = float(np.median(e1 / x[0]))
    if 1e-6 < alone < 1:
        for weight in (float(f"{alone:.3g}"), alone):
            yield Blend(quantity, "forgets", weight, zeros)
    with np.errstate(all="ignore"):
        debiased = 2 - 1 / share if share else 0.0
    for weight, start in ((debiased, zeros), (hidden_one, ones)):
        for rounded in (float(f"{weight:.3g}"), weight):
            if 0 < rounded < 1:
                yield Blend(quantity, "debiased", rounded, start)
