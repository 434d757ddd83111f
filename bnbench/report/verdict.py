"""What one paired difference, or several under different settings, supports: in words and no further."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import pandas as pd

from bnbench.analysis import proportion_interval
from bnbench.analysis.significance import ALPHA
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.report.number_words import count, difference, key_title, listing, p_value, percent, span, text

_FAILURES = ("diverged", "collapsed")


class Sentence(NamedTuple):
    """A claim, and what it stands on; together they are a sentence."""

    claim: str
    evidence: str

    def __str__(self) -> str:
        return self.claim + self.evidence


class Verdict(StrEnum):
    """What a paired difference of two levels a - b supports."""

    a_leads = "a_leads"
    b_leads = "b_leads"
    unclear = "unclear"  # the interval covers zero
    equal = "equal"  # all pairs differ by the same amount
    one_pair = "one_pair"
    no_pair = "no_pair"
    diverged = "diverged"  # or collapsed, a trial of either arm: success counts lead, the difference is among survivors


def verdict(row: pd.Series[Any]) -> Verdict:
    """The verdict on a row of `analysis.differences` or `analysis.tuned_differences`."""
    if row["descriptive"]:
        return Verdict.diverged
    if row["n"] < 2:
        return Verdict.one_pair if row["n"] else Verdict.no_pair
    if pd.isna(row["low"]):
        return Verdict.equal
    if row["low"] > 0:
        return Verdict.a_leads
    return Verdict.b_leads if row["high"] < 0 else Verdict.unclear


def edges(row: pd.Series[Any]) -> list[str]:
    """The levels whose tuned learning rate is at its grid's edge; none in a row at equal learning rates."""
    return [row[side] for side in "ab" if row.get(f"at_edge_{side}", False)]


def doubts(row: pd.Series[Any]) -> dict[str, str]:
    """Why a difference settles nothing, though its interval may leave out zero: in a word, and as a clause.

    A learning rate at its grid's edge, whose best may lie beyond; so few seeds that not even the signs of all
    differences could tell them from chance in a family of this size; a p that does not survive its correction.
    """
    found = {}
    if edges(row):
        rates = "learning rates of {} are" if len(edges(row)) > 1 else "learning rate of {} is"
        found["a learning rate at its grid's edge"] = f"the {rates.format(listing(edges(row)))} at the edge of the grid"
    if verdict(row) in {Verdict.a_leads, Verdict.b_leads}:
        if not row["seeds_suffice"]:
            among = f" among {row['family']} comparisons" if row["family"] > 1 else ""
            found["too few seeds"] = f"{count(row['n'], 'seed')} are too few to tell it from chance{among}"
        elif row["primary"] and row["p_holm"] > ALPHA:
            found["not significant once corrected"] = f"corrected for {row['family']} comparisons it may be chance"
    return found


def remark(row: pd.Series[Any]) -> str:
    """The verdict in a table's cell."""
    match verdict(row):
        case Verdict.a_leads:
            read = f"{row['a']} {'is ahead' if doubts(row) else 'leads'}"
        case Verdict.b_leads:
            read = f"{row['b']} {'is ahead' if doubts(row) else 'leads'}"
        case Verdict.unclear:
            read = "cannot tell"
        case Verdict.equal:
            read = f"all {row['n']} pairs the same: no interval"
        case Verdict.one_pair:
            read = "one seed only: no interval possible"
        case Verdict.no_pair:
            read = _no_pair(row)
        case Verdict.diverged:
            read = f"{'descriptive' if row['n'] else 'no pair'}, for trials {_failed_shares(row)}"
    return read + (f"; inconclusive: {', '.join(doubts(row))}" if doubts(row) else "")


def compare(row: pd.Series[Any], where: str = "") -> Sentence:
    """One difference as a sentence.

    Args:
        row: A row of `analysis.differences` or `analysis.tuned_differences`.
        where: What the comparison holds for, such as ", at learning rate 0.1".
    """
    a, b, pairs = row["a"], row["b"], count(row["n"], "pair")
    estimate = f"{a} - {b} is {difference(row['mean'])} pp"
    chance = f"{pairs}, {_chance(row)}"
    interval = f"95 % interval {span(row['low'], row['high'], signed=True)} pp, {chance}"
    doubt = f"; inconclusive, for {listing([*doubts(row).values()])}" if doubts(row) else ""
    beats = "is ahead of" if doubt else "beats"
    match verdict(row):
        case Verdict.a_leads:
            bounds = f"95 % interval {span(row['low'], row['high'])} pp, {chance}"
            said = f"{a} {beats} {b} by {percent(row['mean'])} pp of test accuracy", f" ({bounds}){where}"
        case Verdict.b_leads:
            bounds = f"95 % interval {span(-row['high'], -row['low'])} pp, {chance}"
            said = f"{b} {beats} {a} by {percent(-row['mean'])} pp of test accuracy", f" ({bounds}){where}"
        case Verdict.unclear:
            said = f"cannot tell {a} from {b}", f"{where}: {estimate} ({interval}); {_blind(row['detectable'])}"
        case Verdict.equal:
            by = f"differ by {difference(row['mean'])} pp" if row["mean"] else "are equal"
            said = f"all {pairs} of {a} and {b} {by}", f", so there is no interval{where}"
        case Verdict.one_pair:
            said = f"one pair only: {estimate}", f", and no interval is possible{where}"
        case Verdict.no_pair:
            said = f"{a} and {b} cannot be compared", f"{where}: {_no_pair(row)}"
        case Verdict.diverged:
            kept = interval if pd.notna(row["low"]) else f"{pairs}, no interval"
            among = f"among the pairs that succeeded, {estimate} ({kept}), which is descriptive only"
            survivors = among if row["n"] else "no pair is left to compare"
            exact = f", exact McNemar p {p_value(row['p_mcnemar'])}" if pd.notna(row["p_mcnemar"]) else ""
            shares = f"95 % intervals {_success_interval(row, 'a')} and {_success_interval(row, 'b')}{exact}"
            succeeded = f"{a} succeeded in {_success(row, 'a')} trials, {b} in {_success(row, 'b')}"
            said = succeeded, f" ({shares}){where}: {_failed(row)}; {survivors}"
    return Sentence(said[0], said[1] + doubt)


def tally(rows: pd.DataFrame, keys: list[str]) -> str:
    """The verdicts on one contrast under several settings, as the end of a sentence that names the contrast.

    Args:
        rows: Rows of one contrast.
        keys: The params in which the settings differ.
    """
    a, b = rows["a"].iloc[0], rows["b"].iloc[0]
    reasons = rows.apply(lambda row: ", ".join(doubts(row)), axis=1)
    verdicts = rows.apply(verdict, axis=1)
    parts = []
    for kind in Verdict:
        some = rows[(verdicts == kind) & (reasons == "")]
        if some.empty:
            continue
        at = _places(some, rows, keys)
        match kind:
            case Verdict.a_leads:
                parts.append(f"{a} leads {at} (by {_extent(some['mean'])} pp)")
            case Verdict.b_leads:
                parts.append(f"{b} leads {at} (by {_extent(-some['mean'])} pp)")
            case Verdict.unclear:
                parts.append(f"cannot tell {at} ({_blind(some['detectable'].max())})")
            case Verdict.equal:
                parts.append(f"all pairs are the same {at} ({_extent(some['mean'], signed=True)} pp): no interval")
            case Verdict.one_pair:
                parts.append(f"one pair only {at} ({_extent(some['mean'], signed=True)} pp): no interval possible")
            case Verdict.no_pair:
                parts.append(f"{listing(sorted({_no_pair(row) for _, row in some.iterrows()}))} {at}")
            case Verdict.diverged:
                summed = some.sum(numeric_only=True).combine_first(some.iloc[0])
                parts.append(f"trials failed {at} ({_failed_shares(summed)}), where the success counts decide")
    for reason in dict.fromkeys(reason for reason in reasons if reason):
        parts.append(f"inconclusive {_places(rows[reasons == reason], rows, keys)} ({reason})")
    return "; ".join(parts)


def _chance(row: pd.Series[Any]) -> str:
    """The p that the comparison is judged by: Holm's for those named before the runs, the plain one for the others."""
    return f"adjusted p {p_value(row['p_holm'])}" if row["primary"] else f"p {p_value(row['p'])}, exploratory"


def _blind(detectable: float) -> str:
    if detectable > 1:
        return "of so few pairs no difference would be seen"
    return f"differences under about {percent(detectable)} pp would not be seen"


def _no_pair(row: pd.Series[Any]) -> str:
    undefined = [row[side] for side in "ab" if row[f"undefined_{side}"] == row[f"planned_{side}"]]
    if undefined:
        return f"{listing(undefined)} undefined"
    if any(row[f"missing_{side}"] == row[f"planned_{side}"] for side in "ab"):
        return "no pair is trained yet"
    return "no pair succeeded" + (" so far" if row["missing_a"] or row["missing_b"] else "")


def _failed(row: pd.Series[Any]) -> str:
    """How many trials of each level diverged or collapsed."""
    parts = []
    for outcome in _FAILURES:
        sides = [side for side in "ab" if row[f"{outcome}_{side}"]]
        named = [f"{row[f'{outcome}_{side}']:.0f} of {_trained(row, side):.0f} trials of {row[side]}" for side in sides]
        parts += [f"{listing(named)} {outcome}"] if named else []
    return listing(parts)


def _failed_shares(row: pd.Series[Any]) -> str:
    """The same in few words: `diverged: none 3 of 10; collapsed: after 1 of 10`."""
    parts = []
    for outcome in _FAILURES:
        sides = [side for side in "ab" if row[f"{outcome}_{side}"]]
        parts += [f"{outcome}: {', '.join(_share(row, outcome, side) for side in sides)}"] if sides else []
    return "; ".join(parts)


def _success(row: pd.Series[Any], side: str) -> str:
    return "{} of {}".format(*_successes(row, side))


def _success_interval(row: pd.Series[Any], side: str) -> str:
    share = proportion_interval(*_successes(row, side))
    return "none" if share.low is None else f"{100 * share.low:.0f} to {100 * (share.high or 0):.0f} %"


def _successes(row: pd.Series[Any], side: str) -> tuple[int, int]:
    """How many of the trials that ended finished and did not collapse."""
    return row[f"finished_{side}"] - row[f"collapsed_{side}"], row[f"finished_{side}"] + row[f"diverged_{side}"]


def _share(counts: pd.Series[Any], outcome: str, side: str) -> str:
    return f"{counts[side]} {counts[f'{outcome}_{side}']:.0f} of {_trained(counts, side):.0f}"


def _trained(counts: pd.Series[Any], side: str) -> float:
    """How many trials of a level are there: one that is not trained yet is none of those that did not fail."""
    return float(counts[f"planned_{side}"] - counts[f"missing_{side}"])


def _extent(means: pd.Series[float], *, signed: bool = False) -> str:
    one = difference if signed else percent
    low, high = one(means.min()), one(means.max())
    return low if low == high else f"{low} to {high}"


def _places(some: pd.DataFrame, rows: pd.DataFrame, keys: list[str]) -> str:
    if len(some) == len(rows) > 1:
        every = "both" if len(rows) == 2 else f"all {len(rows)}"
        return f"in {every} settings" if len(keys) > 1 else f"at {every}"
    if len(keys) > 1:
        return f"in {len(some)} of {len(rows)} settings"
    # A sentence about learning rates alone begins by saying so.
    title = "" if keys[0] == LEARNING_RATE else f"{key_title(keys[0])} "
    return f"at {title}{listing([text(value) for value in some[keys[0]]])}"
