"""A norm's card: a row for each setting, with one verdict on how it stands beside other norms and none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from bnbench.analysis import Analysis
from bnbench.analysis.outcomes import Outcomes, count_outcomes
from bnbench.analysis.significance import ALPHA
from bnbench.analysis.windows import Window, WindowDifference
from bnbench.report.number_words import count, listing, percent, setting, text
from bnbench.report.standing import Standing, State, standings

WINDOW_MARGIN = 0.5
"""Decades by which two windows of learning rates may differ and be called equivalent: a step of the grid."""


class Verdict(StrEnum):
    """How a norm stands in one setting."""

    better = "better"  # than each of the others
    equivalent = "equivalent"  # to the best of the others, or better than those to which it is not
    worse = "worse"  # than one of the others at least
    fails = "fails"  # half of its trials or more did not train
    undefined = "undefined"  # it has no output worth training here, by definition
    open = "open"  # what was measured does not tell
    untried = "not tried"  # the budget had no room


@dataclass(frozen=True)
class CardRow:
    """One setting.

    Attributes:
        part: The sweep of the battery, in words.
        setting: The value that it is about, in words; empty where there is one only.
        verdict: How the norm stands.
        beside: The other with the highest mean, or the widest window, that `estimate` is the difference from.
        estimate, low, high: The norm minus that other, in `unit`, and the ends of its interval; None without.
        unit: "pp" of test accuracy, or "decades" of learning rates.
        pairs: How many seeds stand behind it.
        shown: What was measured of each level, in words.
        remark: What the reader must know besides.
        sweep: The sweep that it was found in.
    """

    part: str
    setting: str
    verdict: Verdict
    beside: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = "pp"
    pairs: int = 0
    shown: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""
    sweep: str = ""

    def to_json(self) -> dict[str, Any]:
        """The row as JSON values."""
        return asdict(self)


def accuracy_rows(analysis: Analysis, part: str, axis: str, own: str) -> list[CardRow]:
    """A row for each value of the axis: test accuracies, each level at the learning rate that tuning seeds chose."""
    found = [one for subject in analysis.subjects for one in standings(analysis, subject, [])]
    values = sorted(analysis.table.trials[axis].dropna().unique(), key=lambda value: analysis.rank(axis, value))
    return [
        _accuracy_row(analysis, part, axis, value, own, [one for one in found if one.contrast.where[axis] == value])
        for value in values
    ]


def window_rows(analysis: Analysis, part: str, own: str) -> list[CardRow]:
    """One row: how wide the range of learning rates is at which the norm trains, beside the others'."""
    windows = {window.level: window for window in analysis.windows}
    shown = {level: _window(window) for level, window in windows.items()}
    found = {one.b: one for one in analysis.window_differences if one.a == own and one.width.n}
    base = CardRow(part, "", Verdict.open, unit="decades", shown=shown, sweep=analysis.table.record.title)
    if own in windows and math.isnan(windows[own].smallest):
        return [replace(base, verdict=Verdict.fails)]
    if not found:
        return [base]
    ends = {level: _corrected(one, len(found)) for level, one in found.items()}
    widest = max(found, key=lambda level: windows[level].decades)
    difference = found[widest].width
    lows, highs = ([end[i] for end in ends.values()] for i in (0, 1))
    verdict = Verdict.open
    if any(high < 0 for high in highs):
        verdict = Verdict.worse
    elif all(low > 0 for low in lows):
        verdict = Verdict.better
    elif all(low >= -WINDOW_MARGIN for low in lows) and ends[widest][1] <= WINDOW_MARGIN:
        verdict = Verdict.equivalent
    low, high = ends[widest]
    return [
        replace(base, verdict=verdict, beside=widest, estimate=difference.mean, low=low, high=high, pairs=difference.n)
    ]


def untried_row(part: str, remark: str) -> CardRow:
    """A row for a part of the battery that was not trained, and why."""
    return CardRow(part, "", Verdict.untried, remark=remark)


def _accuracy_row(analysis: Analysis, part: str, axis: str, value: Any, own: str, here: Sequence[Standing]) -> CardRow:
    trials = analysis.table.trials[analysis.table.trials[axis] == value]
    shown, means, fails = {}, {}, set()
    for level, group in analysis.by_level(trials):
        reported = group[~group["tuning"].astype(bool)]
        outcomes = count_outcomes(reported if len(reported) else group)
        arms = [arm for arm in analysis.arms if arm.level == level and arm.where[axis] == value and arm.accuracy.n]
        mean = arms[0].accuracy.mean if arms else math.nan  # it is reported at one learning rate only
        shown[level] = _shown(outcomes, mean)
        if outcomes.ended and outcomes.succeeded <= (outcomes.ended / 2 if len(reported) else 0):
            fails.add(level)
        elif arms:
            means[level] = mean
    base = CardRow(
        part,
        setting({axis: value}),
        Verdict.open,
        shown=shown,
        sweep=analysis.table.record.title,
    )
    if shown.get(own) == _UNDEFINED:
        return replace(base, verdict=Verdict.undefined)
    if own in fails:
        return replace(base, verdict=Verdict.fails)
    beside = {one.contrast.b: one for one in here}
    others = [level for level in means if level in beside]
    verdict = _verdict(own, [*beside.values()])
    remark = _why_open(here) if verdict == Verdict.open else ""
    if not others:
        return replace(base, verdict=verdict, remark=remark)
    best = max(others, key=lambda level: means[level])
    n, mean, low, high = beside[best].contrast.interval
    return replace(
        base,
        verdict=verdict,
        beside=best,
        estimate=None if not n else 100 * mean,
        low=None if low is None else 100 * low,
        high=None if high is None else 100 * high,
        pairs=n,
        remark=remark,
    )


_UNDEFINED = "undefined"


def _verdict(own: str, here: Sequence[Standing]) -> Verdict:
    """Better only if it is better than each of the others, worse if it is worse than one.

    Each comparison is settled by the sweep's own design, which allows for how many there are.
    """
    decided = [one for one in here if one.state in {State.different, State.failing}]
    if any(one.loser == own for one in decided):
        return Verdict.worse
    wins = [one for one in decided if one.winner == own]
    same = [one for one in here if one.state in {State.equal, State.equivalent}]
    if not here or len(wins) + len(same) < len(here):
        return Verdict.open
    return Verdict.equivalent if same else Verdict.better


def _why_open(here: Sequence[Standing]) -> str:
    """What keeps a row open: a grid that ends too early, or too few seeds."""
    undecided = [one.contrast for one in here if not one.state.settled]
    at_edge = dict.fromkeys(level for one in undecided for level in one.at_edge)
    if at_edge:
        return f"the learning rate of {listing([*at_edge])} is at the edge of the grid"
    seeds = max((one.settlement.seeds for one in undecided if one.settlement), default=math.nan)
    if not undecided or not math.isfinite(seeds):
        return ""
    return f"not settled beside {listing([one.b for one in undecided])}; about {seeds:.0f} seeds would tell"


def _shown(outcomes: Outcomes, mean: float) -> str:
    if outcomes.planned == outcomes.undefined:
        return _UNDEFINED
    if not outcomes.ended:
        return "not trained"
    accuracy, trained = percent(mean), f"{outcomes.succeeded} of {outcomes.ended}"
    if not accuracy:
        return f"{trained} trained"
    return accuracy if outcomes.succeeded == outcomes.ended else f"{accuracy} ({trained})"


def _window(window: Window) -> str:
    if math.isnan(window.smallest):
        return "none"
    low, high = "*" * window.at_low_edge, "*" * window.at_high_edge
    return f"{text(window.smallest)}{low} to {text(window.largest)}{high}"


def _corrected(one: WindowDifference, comparisons: int) -> tuple[float, float]:
    """The ends of the interval that holds for all comparisons at once (Bonferroni); of equal pairs the value itself."""
    from scipy.stats import t

    n, mean, low, high = one.width
    if low is None or high is None:
        return (mean, mean) if n > 1 else (-math.inf, math.inf)
    wider = float(t.ppf(1 - ALPHA / (2 * comparisons), n - 1) / t.ppf(1 - ALPHA / 2, n - 1))
    return mean - wider * (mean - low), mean + wider * (high - mean)


def counted(rows: Sequence[CardRow]) -> str:
    """The verdicts in numbers, such as "better in 2 of 12 settings, equivalent in 5, fails in 1, open in 4"."""
    numbers = {verdict: sum(row.verdict == verdict for row in rows) for verdict in Verdict}
    found = [(verdict, number) for verdict, number in numbers.items() if number]
    if not found:
        return "nothing was tried yet"
    [(first, number), *more] = found
    told = f"{first} in {number} of {count(len(rows), 'setting')}"
    return ", ".join([told, *(f"{verdict} in {n}" for verdict, n in more)])
