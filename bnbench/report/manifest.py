"""The file that a sweep can be trained again from: how it was made, and what defines each of its trials."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd

from bnbench.analysis import SweepTable
from bnbench.config import ConfigError
from bnbench.record.columns import metric_columns, param_columns
from bnbench.record.names import CONDITIONS, Tag, is_curve
from bnbench.record.results import Recorded, TrialResult, reached_only
from bnbench.record.sweep_record import SweepRecord


def manifest(table: SweepTable) -> dict[str, Any]:
    """Everything that is known of how the sweep was made.

    Returns:
        `table.record` as JSON values, with `params`, the params that all trials share, and `trials`, the `key` and the
        other `params` of each trial.
    """
    trials = [_params(row) for row in table.trials.to_dict("records")]
    first = trials[0] if trials else {}
    shared = {key: value for key, value in first.items() if all(t.get(key, t) == value for t in trials)}
    unshared = [{key: value for key, value in params.items() if key not in shared} for params in trials]
    keys = table.trials["key"].tolist()
    listed = [{"key": key, "params": params} for key, params in zip(keys, unshared, strict=True)]
    return {**table.record.to_json(), "params": shared, "trials": listed}


def read_manifest(path: Path) -> tuple[SweepRecord, list[Recorded]]:
    """A sweep's description from its manifest, and its trials from `trials.csv` and `curves.csv` beside it.

    Raises:
        ConfigError: If a file is missing, is damaged, or has an older format that is not read any more.
    """
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path} cannot be read with trials.csv and curves.csv beside it ({reason}); "
            "python -m bnbench report SWEEP writes all three again"
        ) from error


def _read(path: Path) -> tuple[SweepRecord, list[Recorded]]:
    written = json.loads(path.read_text(encoding="utf-8"))
    record, shared = SweepRecord.from_json(written), written["params"]
    rows = {row["key"]: row for row in _rows(path.with_name("trials.csv"))}
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {key: {} for key in rows}
    for row in _rows(path.with_name("curves.csv")):
        for name in filter(is_curve, row):
            if row[name]:
                curves[row["key"]].setdefault(name, []).append((int(row["step"]), float(row[name])))
    recorded = []
    for key, params_of_trial in ((entry["key"], entry["params"]) for entry in written["trials"]):
        row, params = rows[key], {**shared, **params_of_trial}
        result = TrialResult(
            key=key,
            params=params,
            status=row["status"],
            reason=row["reason"] or None,
            metrics=reached_only({name: float(row[name]) for name in metric_columns(row) if row[name]}),
            curves=curves[key],
            diverged_step=int(row["diverged_step"]) if row["diverged_step"] else None,
            tags=_tags(record, params["data"]),
        )
        recorded.append(Recorded(result, record, row["tuning"] == "True"))
    return record, recorded


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; Python parses each float back to the bits that were written."""
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def _params(row: dict[Any, Any]) -> dict[str, Any]:
    """The params of a trial that are set; a param that is missing or None has its default."""
    params = {key: row[key] for key in param_columns(row)}
    return {key: value for key, value in params.items() if isinstance(value, list) or not pd.isna(value)}


def _tags(record: SweepRecord, data: str) -> dict[str, str]:
    """A trial's tags, from the sweep's conditions; where its trials had several values of one, all are listed."""
    conditions = {tag: record.found_out.conditions.get(tag.rpartition(".")[2], []) for tag in CONDITIONS}
    tags = {tag: " and ".join(values) for tag, values in conditions.items() if values}
    images = {one.name: one.checksum.partition(":")[0] for one in record.asked.data}  # without the part on the split
    return tags | {Tag.DATA_CHECKSUM: images[data]}
