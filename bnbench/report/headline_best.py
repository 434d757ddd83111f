"""Many levels in a clause of a headline: the best one is named, and those that win are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bnbench.report.headline_words import Names, size
from bnbench.report.number_words import listing
from bnbench.report.standing import Standing, State


def best(stand: Sequence[Standing], name: Names, noun: str, place: str) -> list[str]:
    """Many pairs of levels that nobody named, in ever fewer words.

    Args:
        stand: Their contrasts, in one setting or in several.
        name: What levels are called.
        noun: What levels are, such as "norms".
        place: Where that is, such as "at {} batch sizes".
    """
    shared = set.intersection(*({one.contrast.a, one.contrast.b} for one in stand))
    decided = [one for one in stand if one.state in {State.different, State.failing}]
    if len(shared) == 1:
        return _against(shared.pop(), stand, decided, name, noun, place)
    wins = Counter(one.winner for one in decided if one.winner)
    if not wins:
        return [f"no two {noun} can be told apart in {len(stand)} comparisons"]
    top = [level for level in wins if wins[level] == max(wins.values())]
    verb = "win" if len(top) > 1 else "wins"
    return [f"{listing([*map(name, top)])} {verb} {wins[top[0]]} of {_compared(top[0], stand)} comparisons"]


def _against(
    reference: str, stand: Sequence[Standing], decided: Sequence[Standing], name: Names, noun: str, place: str
) -> list[str]:
    """How the other levels stand against the one with which all of them are compared."""
    other_levels = {level for one in stand for level in (one.contrast.a, one.contrast.b)} - {reference}
    won = [one for one in decided if one.loser == reference]
    lost = {one.loser for one in decided if one.winner == reference}
    wins, of = Counter(one.winner for one in won if one.winner), f"of {len(other_levels)} {noun}"
    lead = f"{len(wins)} {of} beat {name(reference)}"
    beaten = f"{name(reference)} beats {len(lost)}"
    if not wins:
        return [f"{beaten} {of}" if lost else f"not one {of} can be told from {name(reference)}"]
    tail = f"; {beaten}" if lost else ""
    if len(stand) > len(other_levels):
        top = [level for level in wins if wins[level] == max(wins.values())]
        at = place.format(f"{wins[top[0]]} of {_compared(top[0], stand)}")
        return [f"{lead} somewhere, {listing([*map(name, top)])} {at}{tail}", f"{lead} somewhere{tail}"]
    by_accuracy = [one for one in won if one.state == State.different and one.winner]
    if not by_accuracy:
        return [f"{lead}{tail}"]
    most = max(by_accuracy, key=lambda one: abs(one.contrast.interval.mean))
    return [f"{lead}, most {name(most.winner or '')}: by {size(most.contrast)}{tail}", f"{lead}{tail}"]


def _compared(level: str, stand: Sequence[Standing]) -> int:
    return sum(level in {one.contrast.a, one.contrast.b} for one in stand)
