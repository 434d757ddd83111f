"""What the inputs of hidden units look like: percentiles, saturated and dead units, and how far all that drifts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PERCENTILES = (15, 50, 85)
"""The percentiles whose course Ioffe & Szegedy draw (2015, arXiv:1502.03167, figure 1)."""

_SATURATED = 4.0


class Units(NamedTuple):
    """The distributions of one layer's unit inputs.

    Attributes:
        percentiles: (K, C, 3), of `PERCENTILES`.
        mean: (K, C).
        variance: (K, C), divisor n.
    """

    percentiles: Tensor
    mean: Tensor
    variance: Tensor

    def of(self, slots: Sequence[int]) -> Units:
        """The distributions in some of the slots."""
        return Units(*(values[[*slots]] for values in self))


def describe(values: Tensor) -> Units:
    """Percentiles (interpolated linearly), mean and variance of each unit, float64.

    Args:
        values: A layer's unit inputs for n images, (K, C, n).
    """
    exact, ordered = values.double(), values.sort(2).values
    places = [q / 100 * (values.shape[2] - 1) for q in PERCENTILES]
    low = ordered[:, :, [int(place) for place in places]].double()
    high = ordered[:, :, [-int(-place // 1) for place in places]].double()
    share = exact.new_tensor([place % 1 for place in places])
    mean = exact.mean(2)
    variance = (exact - mean.unsqueeze(2)).square().mean(2)
    return Units(low + (high - low) * share, mean, variance)


def drift(before: Sequence[Units], after: Sequence[Units]) -> tuple[Tensor, Tensor, Tensor]:
    """How far the units' percentiles, means and variances have moved, each in units of the spread before, (K,).

    For a layer it is the sum over units of the absolute change (the mean of it over the three percentiles), divided by
    the sum over units of what was percentile 85 minus 15, the standard deviation, the variance; then comes the mean
    over layers.

    Args:
        before: The distributions by layer.
        after: The same layers later.
    """
    parts = []
    for earlier, later in zip(before, after, strict=True):
        spread = earlier.percentiles[:, :, -1] - earlier.percentiles[:, :, 0]
        parts.append(
            torch.stack(
                [
                    (later.percentiles - earlier.percentiles).abs().mean(2).sum(1) / spread.sum(1),
                    (later.mean - earlier.mean).abs().sum(1) / earlier.variance.sqrt().sum(1),
                    (later.variance - earlier.variance).abs().sum(1) / earlier.variance.sum(1),
                ]
            )
        )
    percentiles, mean, variance = torch.stack(parts, 2).mean(2)
    return percentiles, mean, variance


def largest(values: Sequence[Tensor]) -> Tensor:
    """The largest absolute unit input of any layer, (K,).

    Args:
        values: By layer, (K, C, n).
    """
    return torch.stack([v.abs().flatten(1).amax(1) for v in values], 1).amax(1).double()


def saturated(values: Sequence[Tensor]) -> Tensor:
    """The share of unit inputs beyond ±4, where a sigmoid's slope is under a tenth of its largest, (K,).

    Args:
        values: By layer, (K, C, n).
    """
    return torch.stack([(v.abs() > _SATURATED).flatten(1).double().mean(1) for v in values], 1).mean(1)


def dead(lowest: Sequence[Tensor], highest: Sequence[Tensor]) -> Tensor:
    """The share of units whose output is the same for every image, (K,), mean over layers.

    Args:
        lowest: By layer, each unit's smallest output over images and positions, (K, C).
        highest: Its largest.
    """
    return torch.stack([(a == b).double().mean(1) for a, b in zip(lowest, highest, strict=True)], 1).mean(1)
