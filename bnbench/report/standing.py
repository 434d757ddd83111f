"""How the question of one contrast stands: what its headline says of it rests on this, and so does its picture.

This is the one place where a verdict becomes an answer in a word. Nothing is judged here: accuracies and failures are
judged in `bnbench.analysis.verdict`, steps to a target in `bnbench.analysis.robustness`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from bnbench.analysis import Analysis, Choice, Contrast
from bnbench.analysis.arms import Reach
from bnbench.analysis.design import LEARNING_RATE, matching
from bnbench.analysis.subjects import Subject
from bnbench.analysis.verdict import Reading, better_level, judge_contrast
from bnbench.record import names
from bnbench.report.conclusion import steps_to_target


class State(StrEnum):
    """How the question of a contrast stands."""

    different = "different"  # one level is better by its accuracy
    failing = "failing"  # one level is better by the number of its trials that succeeded
    faster = "faster"  # accuracies do not tell the levels apart, but the steps to the target do
    equal = "equal"  # the two levels of every pair have the same accuracy
    equivalent = "equivalent"  # the accuracies differ by less than what matters
    open = "open"  # what was measured does not tell them apart
    untold = "untold"  # there are fewer than two pairs to judge

    @property
    def settled(self) -> bool:
        """Whether the question has its answer."""
        return self not in {State.open, State.untold}


class Standing(NamedTuple):
    """A contrast and how its question stands.

    Attributes:
        contrast: The contrast, of test accuracies.
        state: How its question stands.
        winner, loser: The better level and the other one; None where no level is better.
        steps: The two levels' median steps to the target, by level, where these decide; else empty.
    """

    contrast: Contrast
    state: State
    winner: str | None = None
    loser: str | None = None
    steps: Mapping[str, float] = {}


def standings(analysis: Analysis, subject: Subject, choices: Sequence[Sequence[Choice]]) -> list[Standing]:
    """How each contrast of a subject stands, pair by pair: at tuned learning rates, or else at equal ones.

    Args:
        analysis: The sweep.
        subject: One of its subjects.
        choices: The answers under other choices of analysis, among them those by steps to a target.
    """
    target, reached = steps_to_target(subject) or (math.nan, {})
    by_steps = [one for group in choices for one in group if one.measure == names.steps_to(target)]
    return [_stand(one, by_steps, reached) for one in _main_contrasts(analysis, subject)]


def _main_contrasts(analysis: Analysis, subject: Subject) -> Iterator[Contrast]:
    for pair in analysis.pairs:
        tuned, matched = (
            [one for one in found if (one.a, one.b) == pair]
            for found in (subject.tuned_differences, subject.differences)
        )
        yield from tuned or matched


def _stand(contrast: Contrast, by_steps: Sequence[Choice], reached: Mapping[str, Reach]) -> Standing:
    reading, answer = judge_contrast(contrast).reading, better_level(contrast)
    if answer != "unclear":
        state = State.failing if reading == Reading.failed else State.different
        return Standing(contrast, state, *_ordered(contrast, answer))
    if reading == Reading.equal and contrast.interval.mean == 0:
        return Standing(contrast, State.equal)
    if reading == Reading.equivalent:
        return Standing(contrast, State.equivalent)
    if reading in {Reading.no_pair, Reading.one_pair}:
        return Standing(contrast, State.untold)
    for choice in _same_place(contrast, by_steps):
        if choice.answer != "unclear":
            medians = {level: reached[level].median_steps for level in (contrast.a, contrast.b)}
            return Standing(contrast, State.faster, *_ordered(contrast, choice.answer), medians)
    return Standing(contrast, State.open)


def _ordered(contrast: Contrast, answer: str) -> tuple[str, str]:
    return (contrast.a, contrast.b) if answer == "a" else (contrast.b, contrast.a)


def _same_place(contrast: Contrast, choices: Sequence[Choice]) -> list[Choice]:
    """The choices on first hits for the same two levels, in the same setting, at the same learning rates."""
    rates = "best" if contrast.chosen else contrast.where.get(LEARNING_RATE)
    where = {key: value for key, value in contrast.where.items() if key != LEARNING_RATE}
    same = [one for one in choices if (one.a, one.b, one.rates) == (contrast.a, contrast.b, rates)]
    return [one for one in matching(same, where) if not one.sustained]
