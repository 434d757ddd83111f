"""A sweep that has so much time: as many seeds as that goes for, by the pace that was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bnbench.sweep.planning.plan import Plan
from bnbench.sweep.running.time_limit import TimeLimit, at_seeds, seeds_of, train_seeds

if TYPE_CHECKING:
    from conftest import CountingSweep

MakePlan = Callable[..., Plan]


class _Clock:
    """In place of a running sweep: training takes so many times its estimate."""

    workers = 1

    def __init__(self, slower: float) -> None:
        self.seconds = 0.0
        self.trained: list[list[int]] = []
        self._slower = slower

    def train(self, plan: Plan) -> None:
        self.seconds += self._slower * plan.seconds_on(self.workers)
        self.trained.append(seeds_of(plan))


_SIX = {"norm": "none,batch", "seed": "range(6)", "training.steps": "20000"}


@pytest.mark.parametrize(
    ("wholes", "slower", "trained"),
    [
        (None, 1, [[0, 1, 2, 3, 4, 5]]),
        (4, 1, [[0, 1, 2, 3, 4, 5]]),  # by far enough
        (1.2, 1, [[0, 1], [2, 3, 4, 5]]),
        (1.2, 1.4, [[0, 1], [2, 3]]),  # it turns out to be slower than estimated
        (0.1, 1, [[0, 1]]),  # an interval takes two
    ],
)
def test_seeds_are_trained_as_far_as_time_goes(
    sweep: CountingSweep, plan: MakePlan, wholes: float | None, slower: float, trained: list[list[int]]
) -> None:
    six = plan(sweep.points({**_SIX, "training.engine": "torch"}))
    whole = six.seconds_on(1)
    running, said = _Clock(slower), list[str]()
    limit = TimeLimit(None if wholes is None else wholes * whole)
    train_seeds(six, running, limit, said.append)  # type: ignore[arg-type]
    assert running.trained == trained
    number = sum(map(len, trained))
    assert said == ([] if number == 6 else [f"no time is left for more than {number} seeds of 6"])


def test_more_seeds_than_two_are_trained_first_where_they_take_no_longer(sweep: CountingSweep, plan: MakePlan) -> None:
    """The kernels train 16 trials in the time of one."""
    planned = plan(sweep.points({**_SIX, "training.engine": "lanes"}))
    running, limit = _Clock(1), TimeLimit(0.1 * planned.seconds_on(1))
    train_seeds(planned, running, limit, print)  # type: ignore[arg-type]
    assert running.trained == [[0, 1, 2, 3, 4, 5]]


def test_the_part_of_some_seeds_trains_what_is_not_finished(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points({"norm": "none,batch", "seed": "range(3)"})
    keys = {(p.trial.norm.name, p.trial.seed): p.trial.key for p in plan(points).planned}
    part = at_seeds(plan(points, finished=[keys["none", 0], keys["none", 2]]), [0, 1], 1)
    assert {p.trial.key for p in part.planned} == {key for (_, seed), key in keys.items() if seed < 2}
    assert part.finished == {keys["none", 0]}
    assert {p.trial.key for pack in part.packs for p in pack} == {
        keys["batch", 0],
        keys["none", 1],
        keys["batch", 1],
    }
