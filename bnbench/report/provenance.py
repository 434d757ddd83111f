"""What it takes to get the same bits again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bnbench.analysis import SweepTable
from bnbench.analysis.seeds import seed_ranges
from bnbench.report.evaluated import validation_images
from bnbench.report.number_words import count


def created(table: SweepTable) -> str:
    """When the sweep was started, to the minute.

    The store's ISO 8601 date is in UTC.
    """
    return f"{datetime.fromisoformat(table.meta['created']).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def facts(table: SweepTable) -> list[tuple[str, str]]:
    """What must agree for the same numbers, as (name, value) pairs; what is not known is left out."""
    meta = table.meta
    git, hardware, plan = meta["git"], meta["hardware"], meta["plan"]
    reporting, tuning = table.reporting["seed"].unique().tolist(), meta["tuning_seeds"]
    dirty = ", with uncommitted changes" if git.get("dirty") else ""
    known = [
        ("Command", shlex.join(meta["command"])),
        (
            "Seeds",
            seed_ranges(reporting) + (f"; {seed_ranges(tuning)} to choose learning rates" if tuning else ""),
        ),
        *((f"Data: {d['name']}", f"{d['source']}, checksum {d['checksum']}") for d in meta["data"]),
        ("Validation", _validation(table)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in meta["versions"].items())),
        ("Code", f"commit {git['commit']}{dirty}" if git else ""),
        ("Hardware", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in hardware.items())),
        ("Trials", ", ".join(f"{name} {value}" for name, value in plan.items())),
        (
            "Time",
            created(table) + (f", {count(meta['wall_seconds'], 'second')}" if meta["wall_seconds"] else ""),
        ),
        ("Verified", _check(meta.get("verified"), "retrained alone") or _not_yet(meta)),
        ("Reproduced", _check(meta.get("reproduced"), "trained again in packs")),
        ("Tracking", f"{meta['tracking_uri']}, run {meta['run_id']}"),
    ]
    return [(name, value) for name, value in known if value]


def _validation(table: SweepTable) -> str:
    images = validation_images(table)
    if images is None:
        return ""  # recorded before it was
    every, curve = images
    return f"{every} images after the last step, which chooses learning rates; {curve} along the curves"


def _check(result: Mapping[str, Any] | None, how: str) -> str:
    """What came of training trials again, as `verify` and `reproduce` keep it with the sweep; empty before that."""
    if result is None:
        return ""
    near = f", {result['near']} more as far as two devices can" if result["near"] else ""
    when = f"{datetime.fromisoformat(result['created']).astimezone(UTC):%Y-%m-%d}"
    same = f"{result['identical']} of {count(result['trials'], 'trial')} {how} gave the same digits{near}"
    return f"{same} ({when}, {result['cpu']})"


def _not_yet(meta: Mapping[str, Any]) -> str:
    return f"not yet: python -m bnbench verify {meta['name']}-{meta['id']}"
