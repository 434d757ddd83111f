"""What can go wrong between a result and its record."""

from __future__ import annotations

from bnbench.record.redaction import redacted


class TrackingError(RuntimeError):
    """The tracking store cannot be used, or lacks what was asked for; one line with what to do, without passwords."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class NothingRecordedError(TrackingError):
    """The store has not been made yet, and the caller did not want to make it."""


class UndeliveredError(TrackingError):
    """Trials were trained, and the store has not taken all of them; one line that says where they are."""


class SpoolError(ValueError):
    """A spooled file is damaged; its line names the file."""


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
