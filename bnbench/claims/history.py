"""Whether a claim was written before its data, and whether seeds were added after a look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.claims.claim import Claim
from bnbench.claims.claim_files import load_claims, parse_claim, recorded
from bnbench.record.sweep_record import ClaimRecord, ListedSweep, SweepSummary

if TYPE_CHECKING:
    from bnbench.record.sweep_table import SweepTable

_REPORTED = {"FINISHED", "FAILED"}  # the states of sweeps that ended and wrote their report


def claims_on(sweep: str, conf_dirs: Sequence[Path]) -> dict[str, ClaimRecord]:
    """The claims that a sweep is made for, as its description records them before anything runs.

    Args:
        sweep: The sweep's name, such as `placement`, or `placement+depth`.
        conf_dirs: Folders that may have `claim/*.yaml` in them.
    """
    claims = load_claims([folder for folder in conf_dirs if folder.is_dir()])
    on = {id: claim for id, claim in claims.items() if claim.sweep in sweep.split("+")}
    return {id: ClaimRecord(claim.hash, recorded(claim)) for id, claim in on.items()}


def recorded_claims(table: SweepTable) -> dict[str, Claim]:
    """The claims as they stood when the sweep was started, by their ids."""
    return {id: parse_claim(id, claim.text, f"claim {id}") for id, claim in table.record.asked.claims.items()}


def earlier_sweeps(name: str, sweeps: Sequence[ListedSweep]) -> list[SweepSummary]:
    """The earlier sweeps of the same name, which a sweep that reuses their trials must remember.

    Args:
        name: The sweep's name.
        sweeps: The sweeps in the store, as `Store.sweeps` lists them.
    """
    return [sweep.summary for sweep in sweeps if sweep.name == name]


def remarks(claim: Claim, table: SweepTable) -> tuple[bool, list[str]]:
    """Whether the verdict is exploratory, and remarks to show beside it.

    A claim counts as written before the data if the sweep recorded it as it is now, and so did every earlier sweep
    whose trials this one has reused (`record.asked.earlier`).
    """
    from bnbench.analysis.seeds import seed_ranges

    notes = []
    recorded = table.record.asked.claims.get(claim.id)
    earlier = table.record.asked.earlier
    if recorded is None:
        notes.append("exploratory: the claim was written after the runs")
    elif recorded.hash != claim.hash or any(
        sweep.claims.get(claim.id, recorded.hash) != claim.hash for sweep in earlier
    ):
        notes.append("exploratory: the claim was changed after the runs")
    elif any(claim.id not in sweep.claims for sweep in earlier):
        notes.append("exploratory: the claim was written after some of the runs")
    exploratory = bool(notes)
    seen = {seed for sweep in earlier if sweep.status in _REPORTED for seed in sweep.seeds}
    added = sorted({int(seed) for seed in table.reporting["seed"]} - seen) if seen else []
    if added:
        number = f"{len(added)} seed{'s' if len(added) > 1 else ''} ({seed_ranges(added)})"
        notes.append(f"{number} added after an earlier report: testing again and again finds too much")
    return exploratory, notes
