"""Several checks as one table: `python -m bnbench.check.frameworks A.json B.json …`, of files by `check --json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_COLUMNS = {
    "eps": "eps",
    "momentum": "momentum",
    "divisor, 2-D": "divisor of the running variance, 2-D",
    "divisor, 4-D": "divisor of the running variance, 4-D",
    "initial statistics": "initial statistics",
    "debiasing": "debiasing",
    "one value a channel": "one value a channel",
    "empty batch": "empty batch",
    "constant feature": "constant feature, float32",
    "large mean": "large mean, float32",
}
"""The table's columns, each with the row that it shows."""


def as_markdown(reports: Sequence[Mapping[str, Any]]) -> str:
    """A table of conventions and edge inputs, and under it what is at fault in each, in its own words."""
    heads = ["implementation", *_COLUMNS]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for report in reports:
        rows = {row["name"]: row for row in report["rows"]}
        cells = (_cell(rows.get(name), rows.get(f"{name}, float32")) for name in _COLUMNS.values())
        lines.append(_line([_name(report), *cells]))
    for report in reports:
        lines += ["", f"`{report['name']}`{_arguments(report)} ({_versions(report)}): {report['verdict']}.", ""]
        lines += [f"- {row['name']}: {_words(row)}" for row in report["rows"] if row["fails"]]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |"


def _name(report: Mapping[str, Any]) -> str:
    return f"`{report['name']}`{_arguments(report)}, {_versions(report)}"


def _arguments(report: Mapping[str, Any]) -> str:
    return "".join(f" `{name}={value}`" for name, value in report["arguments"].items())


def _versions(report: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in report["versions"].items())


def _cell(row: Mapping[str, Any] | None, in_single: Mapping[str, Any] | None) -> str:
    """What a row says, in short, and what it says in single precision, where that is something else."""
    if row is None:
        return "–"
    if row["status"] == "refused":
        return "refused"
    said = str(row["said"]).removeprefix("the new batch weighs ")
    if in_single is not None:
        said += f"; in float32 {in_single['said'].partition(',')[0]}"
    return f"**{said}**" if row["fails"] else said


def _words(row: Mapping[str, Any]) -> str:
    return "; ".join(filter(None, [row["said"], row["explained"]]))


if __name__ == "__main__":
    print(as_markdown([json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]), end="")
