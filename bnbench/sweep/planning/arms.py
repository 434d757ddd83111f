"""The arms of a sweep, of which trials of any seed can be planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bnbench.config import Config
from bnbench.sweep.planning.plan import DataLoader

_LEARNING_RATE = "optimizer.lr"

ArmKey = frozenset[tuple[str, Any]]
"""An arm: the params that the trials of an arm have in common, all but the seed."""

Point = tuple[Config, list[str], dict[str, Any]]
"""A trial's configuration, as `sweep.planning.compose` yields it."""


def arm_of(params: Mapping[str, Any]) -> ArmKey:
    """The arm of a trial with these params."""
    return frozenset((key, value) for key, value in params.items() if key != "seed")


class Arms:
    """The arms of a sweep, each with a point of the grid from which it is planned at other seeds.

    Args:
        points: The grid's.
        data: Says which trial each of them becomes.
    """

    def __init__(self, points: Iterable[Point], data: DataLoader) -> None:
        self._points: dict[ArmKey, Point] = {}
        for point in points:
            self._points.setdefault(arm_of(data.trial(point[0]).params), point)

    @property
    def all(self) -> list[ArmKey]:
        """Every arm, in the grid's order."""
        return [*self._points]

    @property
    def rates(self) -> int:
        """How many learning rates there are."""
        return len({dict(arm)[_LEARNING_RATE] for arm in self._points})

    def at(self, arms: Iterable[ArmKey], seeds: Iterable[int]) -> list[Point]:
        """The points of these arms at these seeds."""
        seeds = [*seeds]
        return [
            (replace(config, seed=seed), overrides, {**values, "seed": seed})
            for config, overrides, values in (self._points[arm] for arm in arms)
            for seed in seeds
        ]

    def beyond(self, arm: ArmKey) -> ArmKey:
        """The new arm that is like this one, one step beyond its end of the grid of learning rates.

        The step is the factor between the two learning rates at that end.

        Args:
            arm: One at the least or the greatest learning rate of those that are alike in all else, of which there are
                two or more.
        """
        rate = dict(arm)[_LEARNING_RATE]
        alike = sorted(dict(other)[_LEARNING_RATE] for other in self._points if _but_rate(other) == _but_rate(arm))
        neighbour = alike[1] if rate == alike[0] else alike[-2]
        further = float(f"{rate * rate / neighbour:.4g}")
        config, overrides, values = self._points[arm]
        new = _but_rate(arm) | {(_LEARNING_RATE, further)}
        config = replace(config, optimizer=replace(config.optimizer, lr=further))
        self._points[new] = (config, overrides, {**values, _LEARNING_RATE: further})
        return new


def _but_rate(arm: ArmKey) -> ArmKey:
    return frozenset(one for one in arm if one[0] != _LEARNING_RATE)


def reporting_seeds(number: int, tuning_seeds: Sequence[int]) -> list[int]:
    """The first so many seeds that do not tune."""
    tuning = {*tuning_seeds}
    return [seed for seed in range(number + len(tuning)) if seed not in tuning][:number]
