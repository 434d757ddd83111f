"""Everything that the statistics say of one sweep, each part worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from bnbench.analysis.arms import Arm, measure_arms
from bnbench.analysis.compare import Rates, compare_levels, is_sequential
from bnbench.analysis.contrast import Contrast
from bnbench.analysis.design import LEARNING_RATE, Design, comparable, matching
from bnbench.analysis.paired_arms import paired_arms
from bnbench.analysis.robustness import Robustness
from bnbench.analysis.steps import StepsContrast, TargetSteps, contrast_steps
from bnbench.analysis.subjects import Subject, subject_keys
from bnbench.analysis.timing import TimedLevel, TimedRatio, step_seconds, timed_levels, timed_ratios
from bnbench.analysis.tuning import TunedRate, choose_rates
from bnbench.analysis.windows import Window, WindowDifference, find_windows
from bnbench.record import names
from bnbench.record.planned_trial import MISSING


class Analysis(Design):
    """A sweep's design and results; each property is worked out once, when it is first asked for."""

    @cached_property
    def arms(self) -> list[Arm]:
        """How every level fared in every stratum."""
        return measure_arms(self)

    @cached_property
    def tuned(self) -> list[TunedRate]:
        """The learning rate that each level's tuning seeds chose, in each stratum; see `choose_rates`."""
        return choose_rates(self)

    @cached_property
    def differences(self) -> list[Contrast]:
        """The contrasts of test accuracy in every stratum, corrected together; see `compare_levels`.

        Empty where a sweep that went on until it was settled tuned learning rates: it then trained no others.
        """
        sequential, matched = bool(self.table.record.asked.looks), is_sequential(self, None)
        return compare_levels(self) if matched or not sequential else []

    @cached_property
    def tuned_differences(self) -> list[Contrast]:
        """The contrasts of test accuracy with each level at its tuned learning rate; empty where none was tuned."""
        return compare_levels(self, tuned=self.tuned)

    @property
    def asked(self) -> list[Contrast]:
        """The contrasts that answer the sweep's question: at tuned learning rates where it tuned them."""
        return self.tuned_differences if self.tuned else self.differences

    def keys_at(self, level: str, where: Mapping[str, Any]) -> list[str]:
        """The keys of a level's trials, tuning seeds included, where params have these values."""
        trials = self.table.trials[self.labels == level]
        for key, value in where.items():
            trials = trials[trials[key].map(comparable) == comparable(value)]
        return [*trials["key"]]

    def keys_of(self, contrast: Contrast) -> list[str]:
        """The keys of the trials of both sides of a contrast, tuning seeds included."""
        keys: list[str] = []
        for side in contrast.sides:
            rate = {} if side.tuned is None else {LEARNING_RATE: side.tuned.rate}
            keys += self.keys_at(side.level, contrast.where | rate)
        return keys

    def contrast(self, a: str, b: str, measure: str = names.TEST_ACC, *, rates: Rates = "matched") -> list[Contrast]:
        """The paired difference a - b in each stratum.

        Args:
            a: A level, as `levels` names it.
            b: The level that is subtracted.
            measure: A metric key among the table's columns. Steps to a target are censored: `contrast_steps` compares
                them.
            rates: "matched" compares at equal learning rates, "best" each level at its tuned one; without tuning seeds
                the list is then empty.

        Raises:
            ValueError: If the sweep has no such level or measure.
        """
        contrasts = compare_levels(self, measure, self._at(rates), [(a, b)])
        return [one for one in contrasts if (one.a, one.b) == (a, b)]

    @cached_property
    def steps(self) -> TargetSteps:
        """How many steps each trial took to targets."""
        return TargetSteps(self.table)

    def contrast_steps(
        self, a: str, b: str, target: float, *, sustained: bool = False, rates: Rates = "matched"
    ) -> list[StepsContrast]:
        """Two levels' steps to a target in each stratum; see `steps.contrast_steps`, and `contrast` for `rates`."""
        self.check_levels(a, b)
        arms = paired_arms(self, self._at(rates), [(a, b)])
        return contrast_steps(arms, self.steps, target, sustained=sustained)

    @cached_property
    def robustness(self) -> Robustness:
        """The differences of levels under every defensible choice of analysis."""
        return Robustness(self, self.tuned, self.steps)

    @property
    def windows(self) -> list[Window]:
        """The range of learning rates at which each level trains, by stratum."""
        return self._windows[0]

    @property
    def window_differences(self) -> list[WindowDifference]:
        """How much wider one level's window is than another's, by stratum."""
        return self._windows[1]

    @cached_property
    def step_seconds(self) -> dict[str, np.ndarray]:
        """Seconds of one training step of a lone trial, by the trial's key: an array with one value per round."""
        return step_seconds(self.table)

    @cached_property
    def timed_levels(self) -> list[TimedLevel]:
        """Seconds per training step of each level that was timed, by setting."""
        return timed_levels(self)

    @cached_property
    def timed_ratios(self) -> list[TimedRatio]:
        """How many times as long one level's training step takes as another's, by setting."""
        return timed_ratios(self)

    @cached_property
    def subjects(self) -> list[Subject]:
        """The sweep's parts: one per data set and model where they vary; else see `subject_keys`."""
        keys = subject_keys(self)
        settings = [key for key in self.strata if key not in keys]
        return [
            Subject(
                where,
                settings,
                matching(self.arms, where),
                matching(self.differences, where),
                matching(self.tuned, where),
                matching(self.tuned_differences, where),
                trials,
            )
            for where, trials in self.split(self.table.trials, keys)
        ]

    @property
    def unfinished(self) -> bool:
        """Whether a planned trial is not trained yet."""
        return bool((self.table.trials["status"] == MISSING).any())

    @cached_property
    def _windows(self) -> tuple[list[Window], list[WindowDifference]]:
        return find_windows(self)

    def _at(self, rates: Rates) -> list[TunedRate] | None:
        return self.tuned if rates == "best" else None
