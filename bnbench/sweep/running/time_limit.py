"""Trains plans as far as the time of a sweep goes, by how much slower than estimated its trials were so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bnbench.config import ConfigError
from bnbench.sweep.planning.describe import count, duration
from bnbench.sweep.planning.plan import Plan
from bnbench.sweep.running.running_sweep import RunningSweep

NO_TIME = "no time is left"
"""What a line says that tells what is left out for lack of time."""

_LEAST_SEEDS = 2  # that are trained in any case where time is short: an interval takes two
_AMPLE = 3  # times its estimate is room enough to train a plan as a whole
_TELLING = 1.0  # seconds that a plan must be estimated to take before its pace says something


class TooLongError(ConfigError):
    """A sweep would take longer to its first answer than it may.

    Attributes:
        seconds: About how long it would take.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"takes about {duration(seconds)} to its first answer")
        self.seconds = seconds


class TimeLimit:
    """Which plans a sweep still has time for.

    Args:
        seconds: Its time, from its start; None for any.
        slower: How much slower than estimated it is expected to be, until it is measured.
    """

    def __init__(self, seconds: float | None, slower: float = 1.0) -> None:
        self._seconds = seconds
        self._slower = slower

    def train(self, plan: Plan, running: RunningSweep) -> None:
        """Train a plan, and find out how much slower that is than estimated."""
        begun, estimated = running.seconds, plan.seconds_on(running.workers)
        running.train(plan)
        if estimated > _TELLING:
            self._slower = max(1.0, (running.seconds - begun) / estimated)

    def is_ample(self, plan: Plan, running: RunningSweep) -> bool:
        """Whether there is time for a plan by far, so that it can be trained as a whole."""
        return self._seconds is None or _AMPLE * self._slower * plan.seconds_on(running.workers) < self._seconds

    def is_too_short(self, plan: Plan, running: RunningSweep) -> bool:
        """Whether training a plan would probably end too late."""
        return (
            self._seconds is not None
            and running.seconds + self._slower * plan.seconds_on(running.workers) > self._seconds
        )


def train_seeds(plan: Plan, running: RunningSweep, limit: TimeLimit, say: Callable[[str], None]) -> None:
    """Train a plan as a whole where there is time for it by far, else two seeds and then as many as there is time for.

    Args:
        plan: Of a sweep whose trials are all known.
        running: Trains it.
        limit: Its time.
        say: Where lines for the user go.
    """
    seeds = seeds_of(plan)
    if limit.is_ample(plan, running) or len(seeds) < 2:
        running.train(plan)
        return
    least = _as_cheap(plan, seeds, running.workers)
    limit.train(least, running)
    done = len(seeds_of(least))
    while done < len(seeds):
        parts = (at_seeds(plan, seeds[done:end], running.workers) for end in range(len(seeds), done, -1))
        part = next((part for part in parts if not limit.is_too_short(part, running)), None)
        if part is None:
            say(f"{NO_TIME} for more than {count(done, 'seed')} of {len(seeds)}")
            return
        limit.train(part, running)
        done += len(seeds_of(part))


def _as_cheap(plan: Plan, seeds: list[int], workers: int) -> Plan:
    """The part that has two seeds, or more where these take no longer, as where a pack of the kernels had room."""
    longest = least_seconds(plan, workers)
    parts = (at_seeds(plan, seeds[:end], workers) for end in range(len(seeds), _LEAST_SEEDS - 1, -1))
    return next(part for part in parts if part.seconds_on(workers) <= longest)


def least_seconds(plan: Plan, workers: int) -> float:
    """About how long the seeds take that are trained in any case."""
    return at_seeds(plan, seeds_of(plan)[:_LEAST_SEEDS], workers).seconds_on(workers)


def seeds_of(plan: Plan) -> list[int]:
    """The seeds of a plan's trials, in its order."""
    return [*dict.fromkeys(p.trial.seed for p in plan.planned)]


def at_seeds(plan: Plan, seeds: list[int], workers: int) -> Plan:
    """The part of a plan that has these seeds."""
    planned = [p for p in plan.planned if p.trial.seed in seeds]
    finished = plan.finished & {p.trial.key for p in planned}
    return replace(plan, planned=planned, finished=finished, duplicates=0).repacked(plan.paces, workers)
