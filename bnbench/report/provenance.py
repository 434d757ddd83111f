"""What it takes to get the same bits again."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import UTC, datetime

from bnbench.analysis import SweepTable
from bnbench.analysis.seeds import seed_ranges
from bnbench.record.sweep_record import CheckRecord, SweepRecord
from bnbench.report.evaluated import validation_images
from bnbench.report.number_words import count


def created(table: SweepTable) -> str:
    """When the sweep was started, to the minute.

    The store's ISO 8601 date is in UTC.
    """
    return f"{datetime.fromisoformat(table.record.asked.created).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def facts(table: SweepTable) -> list[tuple[str, str]]:
    """What must be the same to get the same numbers, as (name, value) pairs; unknown values are left out."""
    record = table.record
    asked, environment, git, seconds = (
        record.asked,
        record.environment,
        record.environment.git,
        record.found_out.wall_seconds,
    )
    reporting, tuning = table.reporting["seed"].unique().tolist(), asked.tuning_seeds
    dirty = ", with uncommitted changes" if git.get("dirty") else ""
    recorded = [
        ("Command", shlex.join(asked.command)),
        (
            "Seeds",
            seed_ranges(reporting) + (f"; {seed_ranges(tuning)} to choose learning rates" if tuning else ""),
        ),
        *((f"Data: {one.name}", f"{one.source}, checksum {one.checksum}") for one in asked.data),
        ("Validation", _validation(table)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in environment.versions.items())),
        ("Code", f"commit {git['commit']}{dirty}" if git else ""),
        ("Hardware", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in environment.hardware.items())),
        ("Trials", ", ".join(f"{name} {value}" for name, value in asdict(record.plan).items())),
        (
            "Time",
            created(table) + (f", {count(seconds, 'second')}" if seconds else ""),
        ),
        ("Verified", _check(record.found_out.verified, "retrained alone") or _not_yet(record)),
        ("Reproduced", _check(record.found_out.reproduced, "trained again in packs")),
        ("Tracking", f"{record.place.tracking_uri}, run {record.place.run_id}"),
    ]
    return [(name, value) for name, value in recorded if value]


def _validation(table: SweepTable) -> str:
    images = validation_images(table)
    if images is None:
        return ""  # not recorded by older versions
    every, curve = images
    return f"{every} images after the last step, which chooses learning rates; {curve} along the curves"


def _check(result: CheckRecord | None, how: str) -> str:
    """What `verify` or `reproduce` found when it trained trials again; empty if it has not run."""
    if result is None:
        return ""
    near = f", {result.near} more as far as two devices can" if result.near else ""
    when = f"{datetime.fromisoformat(result.created).astimezone(UTC):%Y-%m-%d}"
    same = f"{result.identical} of {count(result.trials, 'trial')} {how} gave the same digits{near}"
    return f"{same} ({when}, {result.cpu})"


def _not_yet(record: SweepRecord) -> str:
    return f"not yet: python -m bnbench verify {record.title}"
