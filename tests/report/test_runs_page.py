"""The page of all sweeps, and the same in the terminal."""

from __future__ import annotations

from pathlib import Path

from bnbench.config.workspace import Workspace
from bnbench.record.sweep_record import ListedSweep, SweepSummary
from bnbench.report import terminal_runs, write_runs_page


def _sweep(name: str, status: str, *headlines: str) -> ListedSweep:
    summary = SweepSummary("0a1b2c3d", "2026-11-28T06:47:31+00:00", status, [0, 1], {})
    return ListedSweep(name, "run", summary, 12, [*headlines])


def test_each_sweep_stands_with_its_answers_and_a_link_where_its_report_lies(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    report = workspace.sweep_folder("placement", "0a1b2c3d") / "report.html"
    report.parent.mkdir()
    report.touch()
    sweeps = [_sweep("placement", "FINISHED", "Before <beats> after."), _sweep("elsewhere", "RUNNING")]
    page = write_runs_page(sweeps, workspace).read_text()
    assert '<a href="placement-0a1b2c3d/report.html">placement-0a1b2c3d</a>' in page
    assert "Before &lt;beats&gt; after." in page
    assert "<h2>elsewhere-0a1b2c3d</h2>" in page
    assert terminal_runs(sweeps, workspace, 80).splitlines() == [
        "2026-11-28 06:47  placement-0a1b2c3d  12 trials, finished",
        "  Before <beats> after.",
        "2026-11-28 06:47  elsewhere-0a1b2c3d  12 trials, running",
    ]


def test_a_store_without_a_sweep_has_a_page_that_says_so(tmp_path: Path) -> None:
    nowhere_yet = Workspace.at(tmp_path / "runs", "sqlite:///elsewhere.db")
    assert "No sweep is recorded." in write_runs_page([], nowhere_yet).read_text()
