"""Records with a sweep how many of its trials gave the same numbers when they were trained again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bnbench.config import environment
from bnbench.record.sweep_record import CheckRecord, SweepRecord
from bnbench.tracking import TrackingError

if TYPE_CHECKING:
    from bnbench.tracking import Store


def keep_check(store: Store, record: SweepRecord, tag: str, verdicts: Counter[str], say: Callable[[str], None]) -> None:
    """Keep with a sweep's run how many of its trials came out again; say so where the store is read-only.

    Args:
        store: Where the sweep is recorded.
        record: The sweep's description.
        tag: As `Store.note_check` takes it.
        verdicts: How many trials had each verdict of a `TrialComparison`.
        say: Where lines for the user go.
    """
    result = CheckRecord(
        trials=verdicts.total(),
        identical=verdicts["same"],
        near=verdicts["near"],
        cpu=environment.hardware()["cpu"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        store.note_check(record.place.run_id, tag, result)
    except TrackingError as error:
        say(f"not kept with the sweep: {error}")
