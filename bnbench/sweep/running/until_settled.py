"""Trains a sweep until its contrasts or claims are settled: learning rates are tuned, then look follows look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from bnbench.analysis import Analysis
from bnbench.analysis.design import LEARNING_RATE
from bnbench.config import Until
from bnbench.config.schema import SweepConfig
from bnbench.record.planned_trial import MISSING
from bnbench.sweep.planning.arms import ArmKey, Arms, Point, arm_of, reporting_seeds
from bnbench.sweep.planning.describe import count, duration
from bnbench.sweep.planning.plan import Plan
from bnbench.sweep.running.answers import answers_so_far, first_trials
from bnbench.sweep.running.running_sweep import RunningSweep
from bnbench.sweep.running.time_limit import NO_TIME, TimeLimit

_MOST_STEPS = {Until.settled: 3, Until.claims: 1}
"""By how many steps a grid of learning rates is widened at an end; the ledger's verdicts were found with one."""


class UntilSettled:
    """Which trials a sweep trains that adds seeds only where its questions are open.

    All that it decides follows from results in the store, and from the time where `sweep.max_minutes` is set: the same
    command again goes on from where it was interrupted, to the same trials as far as there is time.

    Args:
        sweep: Its settings.
        looks: The numbers of pairs at which its questions are judged.
        arms: Its arms.
        tunes: Whether learning rates are chosen on tuning seeds.
        plan_of: Makes the plan that trains some points; asked once for each point.
    """

    def __init__(
        self,
        sweep: SweepConfig,
        looks: Sequence[int],
        arms: Arms,
        tunes: bool,
        plan_of: Callable[[Sequence[Point]], Plan],
    ) -> None:
        self._sweep = sweep
        self._looks = looks
        self._arms = arms
        self._tunes = tunes
        self._plan_of = plan_of
        self._most_steps = _MOST_STEPS[Until.claims if sweep.until == Until.claims else Until.settled]
        self._limit = TimeLimit(None if sweep.max_minutes is None else 60 * sweep.max_minutes)

    @cached_property
    def first(self) -> Plan:
        """What is trained before anything is judged: the tuning seeds of all arms, or the pairs of the first look."""
        return self._tuning(self._arms.all) if self._tunes else self._at_look(0, self._arms.all)

    def seconds_to_first_look(self, workers: int) -> float:
        """About how long it takes on so many workers until its questions are judged for the first time."""
        seconds = self.first.seconds_on(workers)
        if not self._tunes:
            return seconds
        return seconds + self._at_look(0, self._arms.all).seconds_on(workers) / self._arms.rates

    def describe(self) -> str:
        """What follows on the first plan, in a line or two."""
        minutes = self._sweep.max_minutes
        cap = count(self._looks[-1], "seed") + ("" if minutes is None else f" or {duration(60 * minutes)}")
        asked = "claims" if self._sweep.until == Until.claims else "contrasts"
        looks = (
            f"until settled: {asked} are judged at {', '.join(map(str, self._looks))} pairs, and seeds are added "
            f"where one is open, up to {cap}"
        )
        tuning = (
            "these trials choose the learning rate of each level, at which alone it is trained on other seeds; a grid "
            f"at whose edge a level does best is first widened there by up to "
            f"{count(self._most_steps, 'step')}\n"
        )
        return tuning * self._tunes + looks

    def train_first(self, running: RunningSweep, say: Callable[[str], None]) -> None:
        """Train the first plan; where time may be short, one tuning seed after the other, as far as it goes.

        The first tuning seed of every arm is trained in any case: an equal grid is what a choice needs.
        """
        minutes, seeds = self._sweep.max_minutes, self._sweep.tuning_seeds
        if not self._tunes or len(seeds) < 2 or self._limit.is_ample(self.first, running):
            self._limit.train(self.first, running)
            return
        for number, seed in enumerate(seeds):
            plan = self._plan_of(self._arms.at(self._arms.all, [seed]))
            if number and self._limit.is_too_short(plan, running):
                say(f"{NO_TIME} for more than {count(number, 'tuning seed')} (sweep.max_minutes={minutes:g})")
                return
            self._limit.train(plan, running)

    def go_on(self, running: RunningSweep, say: Callable[[str], None]) -> None:
        """Train what follows on the first plan.

        Args:
            running: Has trained the first plan, and trains the others.
            say: Where lines for the user go.
        """
        arms = self._tuned_arms(running, say) if self._tunes else self._arms.all
        if not arms:
            say("no tuning seed finished, so that no learning rate was chosen and nothing is left to compare")
            return
        for look, pairs in enumerate(self._looks):
            if self._tunes or look:
                plan = self._at_look(look, arms)
                if look and self._limit.is_too_short(plan, running):
                    say(f"{NO_TIME} for a look at {pairs} pairs (sweep.max_minutes={self._sweep.max_minutes:g})")
                    return
                self._limit.train(plan, running)
            analysis = Analysis(running.look())
            if analysis.table.trials["status"].isin(["failed", MISSING]).any():
                return  # the report names them, and the same command goes on from here
            answers = answers_so_far(analysis)
            say(f"look at {pairs} pairs: {answers.summary}")
            for line in answers.lines:
                say(f"  {line}")
            needed = {_arm(key, running) for key in answers.open_trials}
            arms = [arm for arm in arms if arm in needed]
            if not arms:
                return

    def _tuning(self, arms: Iterable[ArmKey]) -> Plan:
        return self._plan_of(self._arms.at(arms, self._sweep.tuning_seeds))

    def _at_look(self, look: int, arms: Iterable[ArmKey]) -> Plan:
        """The seeds that a look has more than the one before."""
        seeds = reporting_seeds(self._looks[look], self._sweep.tuning_seeds)
        return self._plan_of(self._arms.at(arms, seeds[self._looks[look - 1] if look else 0 :]))

    def _tuned_arms(self, running: RunningSweep, say: Callable[[str], None]) -> list[ArmKey]:
        """The arms at the learning rates that the tuning seeds choose, once a grid that ends too early is widened."""
        analysis = Analysis(running.look())
        for _ in range(self._most_steps):
            at_edge = self._at_edge(analysis, running)
            if not at_edge:
                break
            beyond = [*map(self._arms.beyond, at_edge)]
            plan = self._tuning(beyond)
            if self._limit.is_too_short(plan, running):
                say(f"{count(len(at_edge), 'level')} did best at the edge of the grid, and {NO_TIME} to widen it")
                break
            rates = ", ".join(dict.fromkeys(f"{dict(arm)[LEARNING_RATE]:g}" for arm in beyond))
            say(f"{count(len(at_edge), 'level')} did best at the edge of the grid, which is widened there: {rates}")
            self._limit.train(plan, running)
            analysis = Analysis(running.look())
        return [*dict.fromkeys(_arm(key, running) for key in first_trials(analysis))]

    def _at_edge(self, analysis: Analysis, running: RunningSweep) -> list[ArmKey]:
        """The arms to compare that are tuned to an end of the grid of learning rates."""
        wanted = {*first_trials(analysis)}
        at_tuned = (
            analysis.keys_at(one.level, {**one.where, LEARNING_RATE: one.rate}) for one in analysis.tuned if one.at_edge
        )
        return [*dict.fromkeys(_arm(key, running) for keys in at_tuned for key in keys if key in wanted)]


def _arm(key: str, running: RunningSweep) -> ArmKey:
    return arm_of(running.planned[key].params)
