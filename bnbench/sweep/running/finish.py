"""The end of a sweep: its report written, its run closed, its conclusion said."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bnbench.analysis.default_targets import with_default_targets
from bnbench.config import Config
from bnbench.report import (
    has_colour,
    markdown_opening,
    terminal_conclusion,
    terminal_headlines,
    terminal_table,
    write_runs_page,
)
from bnbench.sweep.planning.describe import duration
from bnbench.sweep.running.place import ready_command
from bnbench.sweep.running.published import Sweep
from bnbench.sweep.running.refresh_charts import renew_charts

if TYPE_CHECKING:
    from bnbench.tracking import Store


def publish(
    store: Store,
    run_id: str,
    folder: Path,
    trained: Set[str],
    wall_seconds: float,
    config: Config,
    say: Callable[[str], None],
) -> Sweep:
    """Read a sweep back from the store, write its report, close its run, and say what it found.

    Args:
        store: Where its trials are.
        run_id: The sweep's run.
        folder: Where the report goes; the `latest` pointer is moved to it.
        trained: Keys of the trials that had to be trained; where one has no result, the sweep has failed.
        wall_seconds: From the first worker's start to the last trial's end.
        config: Says where the store is.
        say: Where lines for the user go.
    """
    status: Literal["FINISHED", "FAILED"] = "FINISHED" if trained <= store.finished().keys() else "FAILED"
    store.finish_sweep(run_id, status=status, metrics={"sweep/wall_seconds": wall_seconds}, artifacts=[], note="")
    sweep = Sweep(with_default_targets(store.load(run_id)), folder)
    renew_charts(store, sweep.table)
    paths = sweep.report()
    shutil.rmtree(folder / "progress", ignore_errors=True)
    store.workspace.point_latest(folder)
    columns = shutil.get_terminal_size((100, 24)).columns
    conclusion = terminal_conclusion(sweep.contents, columns)
    answers = [str(headline) for headline in sweep.contents.headlines]
    note = f"{store.links(sweep.table.record)}\n\n{markdown_opening(sweep.contents)}"
    kept = list(dict.fromkeys(folder / path.relative_to(folder).parts[0] for path in paths.values()))
    store.finish_sweep(run_id, status=status, metrics={}, artifacts=kept, note=note, headlines=answers)
    write_runs_page(store.sweeps(), store.workspace)
    headlines = terminal_headlines(sweep.contents, columns, colour=has_colour(sys.stdout))
    say(f"\n{conclusion}\n\n{terminal_table(sweep.contents, columns)}\n\n{headlines}\n")
    others = "report.md, report.tex, figures/, trials.csv, curves.csv, manifest.json"
    say(f"report: {_shown(paths['report.html'])} (and {others})")
    say(f"charts: {ready_command('ui', config)}")
    say(f"done in {duration(wall_seconds)}")
    return sweep


def _shown(path: Path) -> str:
    """Relative to where the user is, if that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
