"""A sweep's report on disk: the page, its Markdown, the data behind it and how it was made."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd

from bnbench.analysis import SweepTable
from bnbench.report.html import to_html
from bnbench.report.markdown import to_markdown
from bnbench.report.provenance import manifest

__all__ = ["curves_csv", "trials_csv", "write_report"]

_OUTCOME = ["key", "status", "reason", "diverged_step", "tuning"]


def write_report(table: SweepTable, folder: Path) -> dict[str, Path]:
    """Write a sweep's report; the same table gives the same bytes.

    Each file is replaced as a whole, so a reader never meets half of one.

    Args:
        table: The sweep.
        folder: Where to; made if absent.

    Returns:
        The paths by file name: trials.csv, curves.csv, report.md, report.html, manifest.json.
    """
    texts = {
        "trials.csv": trials_csv(table),
        "curves.csv": curves_csv(table),
        "report.md": to_markdown(table),
        "report.html": to_html(table),
        "manifest.json": json.dumps(manifest(table), indent=2, allow_nan=False) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _replace(folder / name, text)
    return {name: folder / name for name in texts}


def trials_csv(table: SweepTable) -> str:
    """One row a trial: how it ended, every varied param, and its final metrics to the last bit."""
    trials = table.trials
    varied = [key for key in table.meta["varied"] if key in trials and key != "seed"]
    metrics = [column for column in trials.columns if "/" in column]
    return _csv(trials[[*_OUTCOME, *varied, "seed", *metrics]])


def curves_csv(table: SweepTable) -> str:
    """One row for each trial and step: what was measured on the evaluation grid, to the last bit."""
    return _csv(table.curves)


def _csv(frame: pd.DataFrame) -> str:
    # pandas writes a float as its shortest text that reads back to the same bits.
    return frame.to_csv(index=False, lineterminator="\n")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
