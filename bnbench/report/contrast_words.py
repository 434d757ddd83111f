"""The verdict on one paired difference, or on several in different settings, in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bnbench.analysis import Contrast, proportion_interval
from bnbench.analysis.contrast import Side
from bnbench.analysis.design import LEARNING_RATE
from bnbench.analysis.verdict import Doubt, Reading, judge_contrast
from bnbench.report.number_words import count, difference, key_title, listing, p_value, percent, setting, span, text

_FAILURES = ("diverged", "collapsed")

_DOUBTS = {
    Doubt.at_edge: "a learning rate at its grid's edge",
    Doubt.few_seeds: "too few seeds",
    Doubt.not_corrected: "not significant once corrected",
}


class Sentence(NamedTuple):
    """A statement and its evidence; together they make up a sentence."""

    claim: str
    evidence: str

    def __str__(self) -> str:
        return self.claim + self.evidence


def remark(contrast: Contrast) -> str:
    """The verdict on a contrast, in the words of a table's cell."""
    verdict = judge_contrast(contrast)
    leads = "is ahead" if verdict.doubts else "leads"
    match verdict.reading:
        case Reading.a_leads:
            read = f"{contrast.a} {leads}"
        case Reading.b_leads:
            read = f"{contrast.b} {leads}"
        case Reading.unclear:
            read = "cannot tell"
        case Reading.equal:
            read = f"all {contrast.n} pairs the same: no interval"
        case Reading.one_pair:
            read = "one seed only: no interval possible"
        case Reading.no_pair:
            read = no_pair(contrast)
        case Reading.equivalent:
            read = f"equivalent{_within(contrast)}"
        case Reading.open:
            read = f"open: {_seeds_needed(contrast)}"
        case Reading.failed:
            read = f"{_failing(contrast)}, for trials {_failed_shares([contrast])}"
    return read + (f"; inconclusive: {_in_short(verdict.doubts)}" if verdict.doubts else "")


def compare(contrast: Contrast, where: str = "") -> Sentence:
    """One difference as a sentence.

    Args:
        contrast: A contrast of test accuracies.
        where: What the comparison holds for, such as ", at learning rate 0.1".
    """
    a, b, pairs, verdict = contrast.a, contrast.b, count(contrast.n, "pair"), judge_contrast(contrast)
    mean, low, high = contrast.interval.mean, contrast.interval.low, contrast.interval.high
    estimate = f"{a} - {b} is {difference(mean)} pp"
    chance = f"{pairs}, {decided_by(contrast)}"
    interval = f"95 % interval {span(low, high, signed=True)} pp, {chance}"
    doubt = f"; inconclusive, for {listing([_in_a_clause(contrast, one) for one in verdict.doubts])}"
    beats = "is ahead of" if verdict.doubts else "beats"
    match verdict.reading:
        case Reading.a_leads:
            bounds = f"95 % interval {span(low, high)} pp, {chance}"
            sentence = f"{a} {beats} {b} by {percent(mean)} pp of test accuracy", f" ({bounds}){where}"
        case Reading.b_leads:
            bounds = f"95 % interval {span(-(high or 0), -(low or 0))} pp, {chance}"
            sentence = f"{b} {beats} {a} by {percent(-mean)} pp of test accuracy", f" ({bounds}){where}"
        case Reading.unclear:
            sentence = f"cannot tell {a} from {b}", f"{where}: {estimate} ({interval}); {_blind(contrast.detectable)}"
        case Reading.equal:
            by = f"differ by {difference(mean)} pp" if mean else "are equal"
            sentence = f"all {pairs} of {a} and {b} {by}", f", so there is no interval{where}"
        case Reading.one_pair:
            sentence = f"one pair only: {estimate}", f", and no interval is possible{where}"
        case Reading.no_pair:
            sentence = f"{a} and {b} cannot be compared", f"{where}: {no_pair(contrast)}"
        case Reading.equivalent:
            sentence = f"{a} and {b} are equivalent{_within(contrast)}", f"{where}: {estimate} ({interval})"
        case Reading.open:
            sentence = (
                f"whether {a} and {b} differ is open",
                f"{where}: {estimate} ({interval}); {_seeds_needed(contrast)}",
            )
        case Reading.failed:
            kept = f"{pairs}, no interval" if low is None else interval
            among = f"among the pairs that succeeded, {estimate} ({kept}), which is descriptive only"
            survivors = among if contrast.n else "no pair is left to compare"
            p = p_value(contrast.p_mcnemar)
            shares = f"95 % intervals {listing([_success_interval(side) for side in contrast.sides])}"
            hits_a, hits_b = (f"{side.outcomes.succeeded} of {side.outcomes.ended}" for side in contrast.sides)
            evidence = f" ({shares}{p and f', exact McNemar p {p}'}){where}: {_failed(contrast)}; {survivors}"
            sentence = f"{a} succeeded in {hits_a} trials, {b} in {hits_b}", evidence
    return Sentence(sentence[0], sentence[1] + (doubt if verdict.doubts else ""))


def tally(contrasts: Sequence[Contrast], keys: Sequence[str]) -> str:
    """The verdicts on one contrast under several settings, as the end of a sentence that names the contrast.

    Args:
        contrasts: Contrasts of the same two levels.
        keys: The params in which the settings differ.
    """
    a, b = contrasts[0].a, contrasts[0].b
    judged = [(contrast, judge_contrast(contrast)) for contrast in contrasts]
    parts = []
    for kind in Reading:
        some = [contrast for contrast, verdict in judged if verdict.reading == kind and not verdict.doubts]
        if not some:
            continue
        at, means = _places(some, contrasts, keys), [contrast.interval.mean for contrast in some]
        match kind:
            case Reading.a_leads:
                parts.append(f"{a} leads {at} (by {_extent(means, percent)} pp)")
            case Reading.b_leads:
                parts.append(f"{b} leads {at} (by {_extent([-mean for mean in means], percent)} pp)")
            case Reading.unclear:
                parts.append(f"cannot tell {at} ({_blind(max(contrast.detectable for contrast in some))})")
            case Reading.equal:
                parts.append(f"all pairs are the same {at} ({_extent(means, difference)} pp): no interval")
            case Reading.one_pair:
                parts.append(f"one pair only {at} ({_extent(means, difference)} pp): no interval possible")
            case Reading.no_pair:
                parts.append(f"{listing(sorted({no_pair(contrast) for contrast in some}))} {at}")
            case Reading.equivalent:
                parts.append(f"equivalent{_within(some[0])} {at} ({_extent(means, difference)} pp)")
            case Reading.open:
                parts.append(f"open {at} ({_extent(means, difference)} pp)")
            case Reading.failed:
                parts.append(f"trials failed {at} ({_failed_shares(some)}), where the success counts decide")
    for doubts in dict.fromkeys(verdict.doubts for _, verdict in judged if verdict.doubts):
        some = [contrast for contrast, verdict in judged if verdict.doubts == doubts]
        parts.append(f"inconclusive {_places(some, contrasts, keys)} ({_in_short(doubts)})")
    return "; ".join(parts)


def no_pair(contrast: Contrast) -> str:
    """Why there is no pair to compare."""
    undefined = [side.level for side in contrast.sides if side.outcomes.undefined == side.outcomes.planned]
    if undefined:
        return f"{listing(undefined)} undefined"
    if not all(side.outcomes.trained for side in contrast.sides):
        return "no pair is trained yet"
    return "no pair succeeded" + (" so far" if any(side.outcomes.missing for side in contrast.sides) else "")


def _in_short(doubts: Sequence[Doubt]) -> str:
    return ", ".join(_DOUBTS[doubt] for doubt in doubts)


def _in_a_clause(contrast: Contrast, doubt: Doubt) -> str:
    match doubt:
        case Doubt.at_edge:
            rates = "learning rates of {} are" if len(contrast.at_edge) > 1 else "learning rate of {} is"
            return f"the {rates.format(listing(contrast.at_edge))} at the edge of the grid"
        case Doubt.few_seeds:
            among = f" among {contrast.family} comparisons" if contrast.family > 1 else ""
            return f"{count(contrast.n, 'seed')} are too few to tell it from chance{among}"
        case Doubt.not_corrected:
            return f"corrected for {contrast.family} comparisons it may be chance"


def decided_by(contrast: Contrast) -> str:
    """What decides: the look that settled it, or a p value.

    That is Holm's for a contrast named before the runs, and the plain one for another.
    """
    if contrast.settlement is not None:
        return "settled by this look" if contrast.settlement.settled else "the last look"
    if contrast.primary:
        return f"adjusted p {p_value(contrast.adjusted_p)}"
    return f"p {p_value(contrast.p)}, exploratory"


def in_short(contrast: Contrast) -> str:
    """A contrast with its estimate, its interval and its verdict, in a line."""
    where = setting(contrast.where)
    low, high = contrast.interval.low, contrast.interval.high
    found = f" {difference(contrast.interval.mean)} pp" if contrast.n else ""
    bounds = f" ({span(low, high, signed=True)})" if low is not None else ""
    return f"{where + ': ' if where else ''}{contrast.a} - {contrast.b}{found}{bounds}: {remark(contrast)}"


def _failing(contrast: Contrast) -> str:
    """What a contrast says of which trials failed."""
    if contrast.settlement is not None and contrast.settlement.settled:
        winner = {"a": contrast.a, "b": contrast.b, None: "neither"}[contrast.settlement.larger]
        return f"{winner} succeeds{' more often' if contrast.settlement.larger else ''}"
    how = "descriptive" if contrast.n else "no pair"
    return how if contrast.settlement is None else f"open, {how}"


def _within(contrast: Contrast) -> str:
    return "" if contrast.margin is None else f" within {percent(contrast.margin)} pp"


def _seeds_needed(contrast: Contrast) -> str:
    """What it would probably take to settle an open contrast."""
    assert contrast.settlement is not None
    pairs, seeds = contrast.settlement.pairs, contrast.settlement.seeds
    if not pairs:
        return "no look was taken"
    if math.isinf(seeds) or math.isnan(seeds):
        return f"{count(pairs, 'pair')} do not settle it, nor would 10,000"
    return f"{count(pairs, 'pair')} do not settle it, about {seeds:,.0f} would"


def _blind(detectable: float) -> str:
    if detectable > 1:
        return "of so few pairs no difference would be seen"
    return f"differences under about {percent(detectable)} pp would not be seen"


def _failed(contrast: Contrast) -> str:
    """How many trials of each level diverged or collapsed."""
    parts = []
    for how in _FAILURES:
        lost = [(getattr(side.outcomes, how), side) for side in contrast.sides]
        named = [f"{n} of {side.outcomes.trained} trials of {side.level}" for n, side in lost if n]
        parts += [f"{listing(named)} {how}"] if named else []
    return listing(parts)


def _failed_shares(contrasts: Sequence[Contrast]) -> str:
    """The failures in several contrasts in few words: `diverged: none 3 of 10; collapsed: after 1 of 10`."""
    parts = []
    for how in _FAILURES:
        shares = []
        for sides in zip(*(contrast.sides for contrast in contrasts), strict=True):
            lost = sum(getattr(side.outcomes, how) for side in sides)
            trained = sum(side.outcomes.trained for side in sides)
            shares += [f"{sides[0].level} {lost} of {trained}"] if lost else []
        parts += [f"{how}: {', '.join(shares)}"] if shares else []
    return "; ".join(parts)


def _success_interval(side: Side) -> str:
    share = proportion_interval(side.outcomes.succeeded, side.outcomes.ended)
    return "none" if share.low is None else f"{100 * share.low:.0f} to {100 * (share.high or 0):.0f} %"


def _extent(means: Sequence[float], one: Callable[[float], str]) -> str:
    low, high = one(min(means)), one(max(means))
    return low if low == high else f"{low} to {high}"


def _places(some: Sequence[Contrast], every: Sequence[Contrast], keys: Sequence[str]) -> str:
    if len(some) == len(every) > 1:
        how_many = "both" if len(every) == 2 else f"all {len(every)}"
        return f"in {how_many} settings" if len(keys) > 1 else f"at {how_many}"
    if len(keys) > 1:
        return f"in {len(some)} of {len(every)} settings"
    # A sentence about learning rates alone begins by saying so.
    title = "" if keys[0] == LEARNING_RATE else f"{key_title(keys[0])} "
    return f"at {title}{listing([text(contrast.where[keys[0]]) for contrast in some])}"
