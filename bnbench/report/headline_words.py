"""One contrast in a clause of a headline: which level won, by how much and how surely."""

from __future__ import annotations

import math
from collections.abc import Callable

from bnbench.analysis import Analysis, Contrast
from bnbench.analysis.verdict import Doubt, Reading, judge_contrast
from bnbench.report.contrast_words import no_pair
from bnbench.report.number_words import difference, listing, percent, span
from bnbench.report.standing import Standing, State

Names = Callable[[str], str]
"""A level's name in a sentence."""

_DOUBTS = {
    Doubt.at_edge: "a learning rate at the edge",
    Doubt.few_seeds: "too few seeds",
    Doubt.not_corrected: "not significant once corrected",
}


def level_names(analysis: Analysis) -> Names:
    """What a sweep's levels are called in a sentence: "none failed" would say that nothing failed."""
    norms = "norm" in analysis.table.record.asked.compare

    def name(level: str) -> str:
        kind, comma, more = level.partition(",")
        norm, space, placement = kind.partition(" ")
        called = {"none": "no norm", "own": "its own norm"}.get(norm, norm)
        return f"{called}{space}{placement}{comma}{more}" if norms else level

    return name


def in_full(one: Standing, name: Names) -> list[str]:
    """A contrast in a clause, in ever fewer words; the last one has no numbers.

    Args:
        one: The contrast.
        name: What its levels are called.
    """
    a, b = name(one.contrast.a), name(one.contrast.b)
    cannot, measured = f"cannot tell {a} from {b}", _measured(one.contrast, name)
    match one.state:
        case State.different:
            return [f"{_beats(one, name)} by {size(one.contrast)}", _beats(one, name)]
        case State.failing:
            (won, of), (lost, of_lost) = sorted(one.contrast.successes, key=lambda hits: -hits[0] / max(1, hits[1]))
            trained = f"{name(one.winner or a)} trained in {won} of {of} seeds, {name(one.loser or b)} in {lost}"
            return [f"{trained} of {of_lost}", _beats(one, name)]
        case State.faster:
            but = f"but {name(one.winner or a)} {_faster(one)}"
            return [f"{cannot} ({measured}), {but}", f"{cannot}, {but}"]
        case State.equal:
            return [f"all {one.contrast.n} pairs of {a} and {b} are equal", f"{a} equals {b}"]
        case State.equivalent:
            same = f"{a} and {b} are equivalent"
            within = "" if one.contrast.margin is None else f" within {percent(one.contrast.margin)} pp"
            return [f"{same}{within} ({measured})", f"{same} ({measured})", same]
        case State.open:
            return _open(one.contrast, name, cannot, measured)
        case State.untold:
            if one.contrast.n:
                only = "one seed only tells nothing"
                return [f"{only}: {a} - {b} is {difference(one.contrast.interval.mean)} pp", only]
            return [f"nothing to compare: {no_pair(one.contrast)}"]


def failures(contrast: Contrast, name: Names) -> str:
    """In how many seeds each level failed; a level that never did is not named."""
    lost = [(side.level, side.outcomes.ended - side.outcomes.succeeded, side.outcomes.ended) for side in contrast.sides]
    shares = [(level, f"all {n}" if n == ended else f"{n} of {ended}") for level, n, ended in lost if n]
    return listing([f"{name(level)} failed in {share} seeds" for level, share in shares])


def size(contrast: Contrast) -> str:
    """By how much the better level leads, and the interval."""
    mean, low, high = contrast.interval.mean, contrast.interval.low or 0.0, contrast.interval.high or 0.0
    return f"{percent(abs(mean))} pp ({span(low, high) if mean > 0 else span(-high, -low)})"


def _open(contrast: Contrast, name: Names, cannot: str, measured: str) -> list[str]:
    reading, doubts = judge_contrast(contrast)
    if reading == Reading.equal:
        mean = difference(contrast.interval.mean)
        return [f"all {contrast.n} pairs of {name(contrast.a)} and {name(contrast.b)} differ by {mean} pp", cannot]
    if contrast.settlement is not None and math.isfinite(contrast.settlement.seeds):
        needed = f"about {contrast.settlement.seeds:,.0f} seeds would tell"
        return [f"{cannot} ({measured}), {needed}", f"{cannot} ({measured})", cannot]
    if reading not in {Reading.a_leads, Reading.b_leads}:
        return [f"{cannot} ({measured})", cannot]
    ahead, behind = map(name, (contrast.a, contrast.b) if reading == Reading.a_leads else (contrast.b, contrast.a))
    lead = f"{ahead} is ahead of {behind}"
    by = f"{lead} by {size(contrast)}"
    return [f"{by}, inconclusive: {_DOUBTS[doubts[0]]}", f"{by}, inconclusive", f"{lead}, inconclusive"]


def _measured(contrast: Contrast, name: Names) -> str:
    """The difference with its interval; where trials failed, their numbers."""
    if contrast.descriptive:
        return failures(contrast, name)
    _, mean, low, high = contrast.interval
    return ", ".join(filter(None, [f"{difference(mean)} pp", span(low, high, signed=True)]))


def _beats(one: Standing, name: Names) -> str:
    return f"{name(one.winner or '')} beats {name(one.loser or '')}"


def _faster(one: Standing) -> str:
    took, other = (one.steps[level] for level in (one.winner, one.loser) if level)
    if math.isinf(other):
        return "reaches the target more often"
    # What decides are the ratios of the pairs, with which the medians need not agree.
    return f"needs {took:,.0f} steps against {other:,.0f}" if took < other else "reaches the target sooner"
