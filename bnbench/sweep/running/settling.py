"""Says for `status` which questions of a sweep are settled, and about how much is left to train for the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from bnbench.analysis import Analysis, Contrast
from bnbench.record.sweep_record import SweepRecord
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.planning.describe import count, duration
from bnbench.sweep.running.answers import answers_so_far


def describe_settling(table: SweepTable, trained_here: int, *, runs: bool) -> list[str]:
    """A line for each contrast or claim, and for contrasts one on what is left; an open claim says it in its line.

    Args:
        table: A sweep that goes on until it is settled.
        trained_here: How many of its trials are done that it trained itself.
        runs: Whether it is being trained.
    """
    analysis = Analysis(table)
    lines = answers_so_far(analysis).lines
    if table.record.asked.until_claims:
        return lines
    left = _trials_left(analysis.asked, table.record.asked.looks)
    if not left:
        return lines
    seconds = _elapsed(table.record) / trained_here * left if trained_here and runs else math.nan
    time = "" if math.isnan(seconds) else f", about {duration(seconds)}"
    return [*lines, f"about {count(left, 'trial')} more for what is open{time}"]


def _trials_left(contrasts: Sequence[Contrast], looks: Sequence[int]) -> int:
    """How many trials the open contrasts would probably take, as far as the last look; an arm counts once."""
    needed: dict[object, int] = {}
    for one in contrasts:
        if one.settlement is None or one.settlement.settled:
            continue
        seeds = one.settlement.seeds
        wanted = looks[0] if math.isnan(seeds) else min((look for look in looks if look >= seeds), default=looks[-1])
        for side in one.sides:
            arm = repr((one.where, side.level, side.tuned and side.tuned.rate))
            needed[arm] = max(needed.get(arm, 0), wanted - one.settlement.pairs)
    return sum(needed.values())


def _elapsed(record: SweepRecord) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(record.asked.created)).total_seconds()
