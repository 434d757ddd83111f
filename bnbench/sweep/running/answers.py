"""How far a sweep that goes on until it is settled has answered its contrasts, or the claims judged on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from bnbench.analysis import Analysis
from bnbench.analysis.design import LEARNING_RATE
from bnbench.claims import Judgment, judge, trials_of
from bnbench.claims.history import recorded_claims
from bnbench.claims.looks import cost
from bnbench.record.sweep_table import SweepTable
from bnbench.report import in_short
from bnbench.sweep.planning.describe import count


class Answers(NamedTuple):
    """What a sweep has answered so far.

    Attributes:
        summary: How many are open, in words.
        lines: One for each question.
        open_trials: The keys of the trials of arms that further seeds are for.
    """

    summary: str
    lines: list[str]
    open_trials: list[str]


def answers_so_far(analysis: Analysis) -> Answers:
    """How the sweep's contrasts stand, or its claims."""
    return _of_claims(analysis) if analysis.table.record.asked.until_claims else _of_contrasts(analysis)


def first_trials(analysis: Analysis) -> Iterator[str]:
    """The keys of tuning trials of those arms that are trained at the first look, once learning rates are tuned."""
    if not analysis.table.record.asked.until_claims:
        for one in analysis.tuned:
            yield from analysis.keys_at(one.level, {**one.where, LEARNING_RATE: one.rate})
        return
    as_reported = _as_reported(analysis.table)
    of_claims = (trials_of(claim, as_reported) for claim in recorded_claims(analysis.table).values())
    wanted = set().union(*of_claims)
    yield from (key for key in analysis.table.trials["key"] if _reported(key) in wanted)


def _of_contrasts(analysis: Analysis) -> Answers:
    settlements = [(one, one.settlement) for one in analysis.asked if one.settlement]
    still_open = [one for one, settlement in settlements if not settlement.settled]
    never = len(analysis.asked) - len(settlements)
    more = f"; {never} more that no seeds settle" if never else ""
    return Answers(
        f"{len(still_open)} of {count(len(settlements), 'contrast')} open{more}",
        [in_short(one) for one in analysis.asked],
        [key for one in still_open for key in analysis.keys_of(one)],
    )


def _of_claims(analysis: Analysis) -> Answers:
    judgments = [judge(claim, analysis) for claim in recorded_claims(analysis.table).values()]
    wanted = [
        (judgment, finding)
        for judgment in judgments
        for finding in judgment.open_findings
        if finding.is_worth_seeds and finding.ended < judgment.claim.max_seeds
    ]
    still_open = {judgment.claim.id for judgment, _ in wanted}
    return Answers(
        f"{len(still_open)} of {count(len(judgments), 'claim')} open",
        [_in_short(judgment) for judgment in judgments],
        [key for _, finding in wanted for key in finding.trials],
    )


def _in_short(judgment: Judgment) -> str:
    would_take = cost(judgment.open_findings)
    return f"{judgment.claim.id} {judgment.claim.title}: {judgment.verdict}{f'; {would_take}' if would_take else ''}"


def _as_reported(table: SweepTable) -> Analysis:
    """The sweep as if one tuning seed were a reporting one: it has the settings that tests will have."""
    tuning = table.trials[table.trials["tuning"].astype(bool)]
    one_seed = tuning[tuning["seed"] == tuning["seed"].min()]
    curves = table.curves[table.curves["key"].isin(one_seed["key"])]
    trials = pd.concat([table.trials, one_seed.assign(key=one_seed["key"].map(_reported), tuning=False)])
    curves = pd.concat([table.curves, curves.assign(key=curves["key"].map(_reported))])
    return Analysis(SweepTable(table.record, trials.reset_index(drop=True), curves.reset_index(drop=True)))


def _reported(key: str) -> str:
    return f"{key} reported"
