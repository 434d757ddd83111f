"""`python -m bnbench report`: a sweep's report again, or two sweeps compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bnbench.cli.parser import VerbParser
from bnbench.config import Config
from bnbench.config.workspace import Workspace

if TYPE_CHECKING:
    from bnbench.record.sweep_table import SweepTable


def main(words: Sequence[str]) -> None:
    """Write a sweep's report again, or how it compares with another, from tracking stores alone."""
    from bnbench.api import load_with
    from bnbench.report import has_colour, terminal_comparison, terminal_conclusion, terminal_headlines
    from bnbench.report.figures import FOLDER

    parser = VerbParser("report", names="[SWEEP]")
    parser.add_argument("--format", metavar="html,md,tex,csv,figures", help="only these (default: all)")
    parser.add_argument("--against", metavar="SWEEP", help="compare with this sweep (with --against-store: latest)")
    parser.add_argument("--against-store", metavar="RUNS_DIR|URI", help="where the other sweep is recorded")
    request = parser.read(words)
    options, config = request.options, request.config
    formats = options.format.split(",") if options.format is not None else None
    loaded = load_with(request.sweep, config)
    if options.against is not None or options.against_store is not None:
        other = load_with(options.against or "latest", _at(config, options.against_store))
        comparison, paths = loaded.compare(other, formats)
        print(terminal_comparison(comparison) + "\n")
    else:
        paths = loaded.report(formats)
        _renew(config, loaded.table)
        print(terminal_conclusion(loaded.contents, 100) + "\n")
        print(terminal_headlines(loaded.contents, 100, colour=has_colour(sys.stdout)) + "\n")
    charts = [path for path in paths.values() if path.parent.name == FOLDER]
    for path in paths.values():
        if path not in charts:
            print(f"report: {path}")
    if charts:
        print(f"charts: {len(charts)} files in {charts[0].parent}")


def _renew(config: Config, table: SweepTable) -> None:
    """Bring the charts in MLflow up to date too; a read-only store is left as it is."""
    from bnbench.sweep.running.refresh_charts import renew_charts
    from bnbench.tracking import Store, TrackingError

    try:
        renew_charts(Store.open(Workspace.of(config), create=False), table)
    except TrackingError as error:
        print(f"the charts in MLflow are as they were: {error}", file=sys.stderr)


def _at(config: Config, store: str | None) -> Config:
    """The same settings for another store: a folder of runs, or a tracking URI."""
    if store is None:
        return config
    if "://" in store:
        return replace(config, tracking=replace(config.tracking, uri=store))
    return replace(config, runs_dir=store, tracking=replace(config.tracking, uri=None))
