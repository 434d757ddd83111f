"""What came of training a sweep's trials again, kept with the sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bnbench.record.sweep_record import CheckRecord, SweepRecord

if TYPE_CHECKING:
    from bnbench.tracking.connect import Connection


def keep_check(
    connection: Connection, record: SweepRecord, tag: str, verdicts: Counter[str], say: Callable[[str], None]
) -> None:
    """Keep with a sweep's run how many of its trials came out again; a store that only lets itself be read is said to.

    Args:
        connection: The open store.
        record: The sweep's description.
        tag: As `note_check` takes it.
        verdicts: How many trials had each verdict of a `Comparison`.
        say: Where lines for the user go.
    """
    from bnbench.tracking import TrackingError, environment
    from bnbench.tracking.connect import reported
    from bnbench.tracking.sweep_runs import note_check

    result = CheckRecord(
        trials=verdicts.total(),
        identical=verdicts["same"],
        near=verdicts["near"],
        cpu=environment.hardware()["cpu"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        with reported(connection.address):
            note_check(connection, record.place.run_id, tag, result)
    except TrackingError as error:
        say(f"not kept with the sweep: {error}")
