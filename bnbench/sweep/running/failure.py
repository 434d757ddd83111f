"""The error a sweep ends with when some of its trials failed."""

from __future__ import annotations


class SweepFailedError(RuntimeError):
    """Trials of a sweep failed; the rest of it was trained, recorded and reported."""
