"""`python -m bnbench runs`: the recorded sweeps and what each found."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import VerbParser


def main(words: Sequence[str]) -> None:
    """Print every recorded sweep with its date, trials, status and answers, and write the same as a page."""
    from bnbench.report import terminal_runs, write_runs_page
    from bnbench.tracking import Store

    workspace = VerbParser("runs").read(words).workspace
    sweeps = Store.open(workspace, create=False).sweeps()
    print(terminal_runs(sweeps, workspace, 100) or "no sweep is recorded")
    print(f"page: {write_runs_page(sweeps, workspace)}")
