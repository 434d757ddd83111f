"""`python -m bnbench report`: a sweep's report again."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import ConfigError
from bnbench.verbs.settings import settings_of

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Write a sweep's report again, from the tracking store alone."""
    from bnbench.api import load_with
    from bnbench.report import terminal_conclusion, write_report

    sweeps = [word for word in words if "=" not in word]
    if len(sweeps) > 1:
        raise ConfigError(f"report {' '.join(sweeps)} names {len(sweeps)} sweeps; give one, or none for the latest")
    sweep = load_with(sweeps[0] if sweeps else "latest", settings_of(words))
    paths = write_report(sweep.table, sweep.folder)
    print(f"{terminal_conclusion(sweep.table, 100)}\n\nreport: {paths['report.html']}")
