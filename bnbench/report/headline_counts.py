"""Several contrasts in few words of a headline: grouped by who beats whom, or counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bnbench.report.headline_words import Names, failures, in_full
from bnbench.report.number_words import listing
from bnbench.report.standing import Standing, State


class Rest(NamedTuple):
    """A clause after a headline's first one, and the contrasts that it tells of."""

    clause: str
    told: Sequence[Standing]


def others(first: Standing, rest: Sequence[Standing], name: Names) -> Iterator[Rest]:
    """The contrasts that follow a first one in the same setting, in as few clauses as can be.

    Args:
        first: The contrast that was told before: its two levels are then called "both".
        rest: The other ones.
        name: What levels are called.
    """
    pair = {first.contrast.a, first.contrast.b}
    for some in _grouped([one for one in rest if one.state == State.different]):
        winners, losers = _names(some, pair, name)
        yield Rest(f"{winners} {'beat' if len({one.winner for one in some}) > 1 else 'beats'} {losers}", some)
    failing = [one for one in rest if one.state == State.failing]
    for loser in dict.fromkeys(one.loser for one in failing):
        some = [one for one in failing if one.loser == loser]
        # The level that lost failed as often in each of these contrasts, so the first one tells of all.
        yield Rest(failures(some[0].contrast, name), some)
    for some in _grouped([one for one in rest if one.state == State.faster]):
        yield Rest(_faster(some, pair, name), some)
    for one in rest:
        if one.state in {State.equal, State.equivalent, State.open}:
            yield Rest(in_full(one, name)[-1], [one])


def tally(some: Sequence[Standing], name: Names, place: str) -> str:
    """One pair of levels in several settings, in a clause.

    Args:
        some: Contrasts of the same two levels.
        name: What levels are called.
        place: Where that is, such as "at {} batch sizes".
    """
    a, b, n = name(some[0].contrast.a), name(some[0].contrast.b), len(some)
    every, wins = "both" if n == 2 else f"all {n}", Counter((one.winner, one.loser) for one in some if one.winner)
    if all(one.state == State.equal for one in some):
        said = f"{a} equals {b} {place.format(every)}"
    elif not wins:
        said = f"cannot tell {a} from {b} {place.format(f'any of {n}')}"
    else:
        ((better, worse), most), *turned = wins.most_common()
        said = f"{name(better or a)} beats {name(worse or b)} {place.format(every if most == n else f'{most} of {n}')}"
        said += f", loses in {sum(number for _, number in turned)}" if turned else ""
    unpaired = sum(one.state == State.untold for one in some)
    return said + (f" ({unpaired} without a pair)" if unpaired else "")


def _grouped(decided: Sequence[Standing]) -> list[list[Standing]]:
    """Contrasts with the same loser, or with the same winner, whichever makes fewer groups."""
    ways: list[dict[str | None, list[Standing]]] = [{}, {}]
    for one in decided:
        for groups, level in zip(ways, (one.loser, one.winner), strict=True):
            groups.setdefault(level, []).append(one)
    return [*min(ways, key=len).values()]


def _faster(some: Sequence[Standing], pair: set[str], name: Names) -> str:
    """Which levels need fewer steps than which: "both need 72 to 77 steps, no norm 326"."""
    winners, losers = _names(some, pair, name)
    took, other = (
        sorted({one.steps[level] for one, level in zip(some, levels, strict=True) if level})
        for levels in ([one.winner for one in some], [one.loser for one in some])
    )
    s = "" if len({one.winner for one in some}) > 1 else "s"
    if took[-1] >= other[0] or math.isinf(other[-1]):
        how = "more often" if math.isinf(other[-1]) else "sooner"
        return f"{winners} reach{s and 'es'} the target {how} than {losers}"
    return f"{winners} need{s} {_range(took)} steps, {losers} {_range(other)}"


def _range(numbers: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{number:,.0f}" for number in (numbers[0], numbers[-1])))


def _names(some: Sequence[Standing], pair: set[str], name: Names) -> tuple[str, str]:
    """The levels that won and those that lost; the two of the first contrast are "both"."""
    won, lost = (
        "both" if {*levels} == pair else listing([name(level) for level in dict.fromkeys(levels) if level])
        for levels in ([one.winner for one in some], [one.loser for one in some])
    )
    return won, lost
