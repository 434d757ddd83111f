"""Two sweeps compared: the settings that both have, paired by seed, and whether their results agree to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.design import comparable
from bnbench.analysis.intervals import Interval, mean_interval, paired_difference
from bnbench.record import names
from bnbench.record.columns import metric_columns, param_columns
from bnbench.record.planned_trial import MISSING
from bnbench.record.sweep_table import SweepTable


class MatchedSetting(NamedTuple):
    """The trials of one setting in both sweeps.

    Attributes:
        where: The setting's params, by key.
        a, b: Mean test accuracy over the finished trials of each sweep.
        trained_a, trained_b: Number of trials that each sweep has at this setting, without those still to be trained.
        difference: Mean of a - b over the seeds that finished in both.
    """

    where: dict[str, Any]
    a: Interval
    b: Interval
    trained_a: int
    trained_b: int
    difference: Interval


class Digits(NamedTuple):
    """How many pairs of trials with the same setting and seed, one from each of two sweeps, have the same numbers.

    Attributes:
        one_run: How many pairs are one and the same run, which both sweeps list.
        trained_twice: How many pairs are two runs.
        same: How many of the latter pairs agree in every number to the last bit.
    """

    one_run: int
    trained_twice: int
    same: int


def varied_in(a: SweepTable, b: SweepTable) -> list[str]:
    """The params that both sweeps have and that vary in at least one, without the seed."""
    both = dict.fromkeys([*a.record.asked.varied, *b.record.asked.varied])
    return [key for key in both if key != "seed" and key in a.trials and key in b.trials]


def unlike_params(a: SweepTable, b: SweepTable) -> dict[str, tuple[list[Any], list[Any]]]:
    """The params that vary in neither sweep but differ between them, each with its values in a and in b.

    Params that vary in either sweep belong to the settings, which are matched instead.
    """
    varied = {*varied_in(a, b), "seed"}
    keys = dict.fromkeys(key for table in (a, b) for key in param_columns(table.trials) if key not in varied)
    values = {key: tuple(_values(table, key) for table in (a, b)) for key in keys}
    return {key: (left, right) for key, (left, right) in values.items() if left != right}


def matched_settings(a: SweepTable, b: SweepTable) -> tuple[list[MatchedSetting], int, int]:
    """The settings that both sweeps have, in a's order, and how many only a and only b has."""
    keys = varied_in(a, b)
    in_a, in_b = dict(_arms(a, keys)), dict(_arms(b, keys))
    matched = []
    for values, left in in_a.items():
        if values in in_b:
            right = in_b[values]
            one, other = _by_seed(left), _by_seed(right)
            where = dict(zip(keys, values, strict=True))
            of_a, of_b = (int((trials["status"] != MISSING).sum()) for trials in (left, right))
            difference = paired_difference(one, other)
            matched.append(MatchedSetting(where, mean_interval(one), mean_interval(other), of_a, of_b, difference))
    return matched, len(in_a.keys() - in_b.keys()), len(in_b.keys() - in_a.keys())


def same_digits(a: SweepTable, b: SweepTable) -> Digits:
    """Compare all final metrics and all points of the curves of the trials with the same settings and seed.

    Metrics that only one sweep has are not compared.
    """
    keys = [*varied_in(a, b), "seed"]
    left, right = (table.trials[table.trials["status"].isin(["finished", "diverged"])] for table in (a, b))
    metrics = [column for column in metric_columns(left) if column in right]
    of_b = {_at(row, keys): row for row in right.to_dict("records")}
    pairs = [(row, of_b[_at(row, keys)]) for row in left.to_dict("records") if _at(row, keys) in of_b]
    one_store = a.record.place.tracking_uri == b.record.place.tracking_uri
    twice = [(one, other) for one, other in pairs if not (one_store and one["key"] == other["key"])]
    points_a, points_b = _points(a, b), _points(b, a)
    same = [
        all(_equal(one[metric], other[metric]) for metric in metrics)
        and points_a.get(one["key"]) == points_b.get(other["key"])
        for one, other in twice
    ]
    return Digits(len(pairs) - len(twice), len(twice), sum(same))


def _arms(table: SweepTable, keys: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for index, row in zip(table.reporting.index, table.reporting.to_dict("records"), strict=True):
        groups.setdefault(_at(row, keys), []).append(index)
    for values, rows in groups.items():
        yield values, table.trials.loc[rows]


def _at(row: dict[Any, Any], keys: list[str]) -> tuple[Any, ...]:
    """A row's values of these keys, as a tuple that can serve as a dict key; see `comparable`."""
    return tuple(comparable(row[key]) for key in keys)


def _values(table: SweepTable, key: str) -> list[Any]:
    return sorted({comparable(value) for value in table.trials.get(key, [])} - {None}, key=repr)


def _by_seed(trials: pd.DataFrame) -> pd.Series[float]:
    finished = trials[trials["status"] == "finished"]
    values: Any = finished[names.TEST_ACC].to_numpy(dtype=float) if len(finished) else []
    return pd.Series(values, index=finished["seed"].to_numpy(), dtype=float)


def _points(table: SweepTable, other: SweepTable) -> dict[str, bytes]:
    """The bytes of each trial's curves, by the trial's key, over the columns that both sweeps have."""
    columns = [column for column in table.curves.columns if column in other.curves and column != "key"]
    values = np.asarray(table.curves[columns], dtype=float)
    return {str(key): values[rows].tobytes() for key, rows in table.curves.groupby("key", sort=False).indices.items()}


def _equal(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)
