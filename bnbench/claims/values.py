"""Turns a sweep's trials into one number per seed and arm, in each setting in which a test compares two arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis import Analysis
from bnbench.analysis.design import LEARNING_RATE, comparable
from bnbench.analysis.outcomes import largest_class, succeeded
from bnbench.claims.claim import At, Rates, Statistic, Test
from bnbench.claims.claim_files import TO_TARGETS, TRIAL_OUTCOMES, parts
from bnbench.record import names
from bnbench.record.sweep_table import SweepTable

_NEAR_BEST = 0.02  # the difference in accuracy that `share` still calls close to the best


class NoDataError(Exception):
    """The table lacks what a test needs; the message says what."""


@dataclass(frozen=True)
class TestedArm:
    """One level in one setting.

    Attributes:
        values: The test's number for each seed that has one, indexed by seed.
        trained: By seed, 1 if all of its trials trained and 0 if not; only seeds whose trials all finished or diverged.
        trials: The level's reporting trials in the setting.
        lr: The learning rate chosen for it; None where none is, or several are.
        at_edge: Whether a chosen learning rate is its grid's smallest or largest.
    """

    values: pd.Series[float]
    trained: pd.Series[float]
    trials: pd.DataFrame
    lr: float | None = None
    at_edge: bool = False

    @property
    def undefined(self) -> bool:
        """Whether it has trials, and by definition none of them has a result."""
        return len(self.trials) > 0 and bool((self.trials["status"] == "undefined").all())


@dataclass(frozen=True)
class Setting:
    """Two arms, or one whose own values are tested, with all other params the same."""

    where: dict[str, Any]
    a: TestedArm
    b: TestedArm | None


def settings(test: Test, analysis: Analysis) -> list[Setting]:
    """Every setting in which the test compares its levels.

    Raises:
        NoDataError: If the sweep lacks a level, a measure, a key or the tuning seeds that the test needs.
    """
    table, labels = analysis.table, analysis.labels
    a, b = test.levels
    for level in filter(None, (a, b)):
        if level not in set(labels):
            raise NoDataError(f"the sweep has no {level!r}; it has {', '.join(dict.fromkeys(labels))}")
    kept = table.trials[_where(table.trials, test.where)]
    if kept.empty:
        raise NoDataError(f"the sweep has no trials with {test.where}")
    if test.at:
        curves = [key for key in parts(test.measure) if names.is_curve(key)]
        kept = kept.assign(**{key: _of_curve(table, kept, key, test.at) for key in curves})
    part = Analysis(SweepTable(table.record, kept, table.curves))
    for key in test.along:
        if key not in kept or kept[key].nunique() < 2:
            raise NoDataError(f"the sweep does not vary {key}")
    rates = None if test.rates == Rates.matched else _Chosen(part, test)
    keys = [key for key in part.strata if key not in test.along and (rates is None or key != LEARNING_RATE)]
    tested = []
    for where, group in part.split(part.table.reporting, keys):
        arms = []
        for level in filter(None, (a, b)):
            trials = group[labels.loc[group.index] == level]
            arms.append(rates.trials(trials, level) if rates and len(trials) else (trials, None, False))
        if all(len(trials) for trials, _, _ in arms):
            values = _values_by_seed(test, [trials for trials, _, _ in arms])
            compared = [TestedArm(own, _trained_by_seed(arm[0]), *arm) for own, arm in zip(values, arms, strict=True)]
            tested.append(Setting(where, compared[0], compared[1] if b else None))
    if not tested:
        raise NoDataError(f"no setting of the sweep has {test.contrast}")
    if not _recorded(test, kept):
        raise NoDataError(f"the sweep did not record {test.measure}")
    return tested


def trained(trials: pd.DataFrame) -> pd.Series[float]:
    """1 for a trial that finished and did not collapse, 0 for one that failed to; NaN without a result."""
    ended = trials["status"].isin(["finished", "diverged"])
    return succeeded(trials).astype(float).where(ended)


class _Chosen:
    """Chooses the learning rate of each arm, which is its own best or the other's."""

    def __init__(self, analysis: Analysis, test: Test) -> None:
        if not analysis.tuned:
            raise NoDataError("the sweep has no tuning seeds and grid of learning rates to choose the best one with")
        self._keys = analysis.conditions
        self._rates = {(*_values(one.where, self._keys), one.level): one for one in analysis.tuned}
        a, b = test.levels
        self._of = {Rates.best_of_a: a, Rates.best_of_b: b}.get(test.rates)

    def trials(self, trials: pd.DataFrame, level: str) -> tuple[pd.DataFrame, float | None, bool]:
        """The trials at their chosen rate, that rate (None if several), and whether any is at its grid's edge."""
        rates = [
            self._rates.get((*_values(row, self._keys), self._of or level))
            for row in trials[self._keys].to_dict("records")
        ]
        lr = pd.Series([one.rate if one else np.nan for one in rates], index=trials.index, dtype=float)
        chosen = trials[trials[LEARNING_RATE] == lr]
        edges = pd.Series([bool(one and one.at_edge) for one in rates], index=trials.index, dtype=bool)
        one = chosen[LEARNING_RATE].unique()
        return chosen, float(one[0]) if len(one) == 1 else None, bool(edges.loc[chosen.index].any())


def _trained_by_seed(trials: pd.DataFrame) -> pd.Series[float]:
    """By seed, 1 if all of its trials trained and 0 if one failed; seeds with a trial not ended are left out."""
    by_seed = trained(trials).groupby(trials["seed"].to_numpy()).agg(lambda values: values.min(skipna=False))
    return by_seed.dropna()


def _values_by_seed(test: Test, arms: list[pd.DataFrame]) -> list[pd.Series[float]]:
    """The test's number for each arm's seeds, over the points of `along` that every arm has."""
    if test.statistic == Statistic.value:
        return [_one_trial_a_seed(test, trials) for trials in arms]
    points = pd.concat([trials[[*test.along]] for trials in arms]).drop_duplicates().reset_index(drop=True)
    grids = [_grid(test, trials, points) for trials in arms]
    shared = [at for at in points.index if all(at in y for y, _ in grids)]
    if len(shared) < 2:
        return [pd.Series(dtype=float) for _ in arms]
    at = points.loc[shared].to_numpy()
    reduced = []
    for y, ok in grids:
        whole = y[shared].dropna()
        values = _reduce(test.statistic, whole.to_numpy(), ok.loc[whole.index, shared].to_numpy() == 1, at)
        reduced.append(pd.Series(values, whole.index, dtype=float))
    return reduced


def _grid(test: Test, trials: pd.DataFrame, points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The measure, and whether the trial trained, each by seed (rows) and point (columns); `y` without empty points."""
    keys, ok = [*test.along], trained(trials)
    at = trials[keys].merge(points.reset_index(names="at"), how="left", on=keys)["at"]
    columns = {"seed": trials["seed"], "y": _measure(test, trials, ok), "ok": ok}
    long = pd.DataFrame({name: column.to_numpy() for name, column in columns.items()} | {"at": at.to_numpy()})
    if long.duplicated(["seed", "at"]).any():
        raise NoDataError(f"a seed has several trials at one {' and '.join(keys)}; {_NAME_IT}")
    y, oks = (long.pivot(index="seed", columns="at", values=name) for name in ("y", "ok"))
    return y.dropna(axis="columns", how="all"), oks


_NAME_IT = "name what they differ in under where or along"


def _one_trial_a_seed(test: Test, trials: pd.DataFrame) -> pd.Series[float]:
    if trials["seed"].duplicated().any():
        raise NoDataError(f"a seed has several trials in one setting; {_NAME_IT}")
    values = _measure(test, trials, trained(trials))
    return pd.Series(values.to_numpy(), index=trials["seed"].to_numpy(), dtype=float).dropna()


def _reduce(statistic: Statistic, y: np.ndarray, ok: np.ndarray, at: np.ndarray) -> np.ndarray:
    """One number per row of `y` and `ok`, shape (seeds, points); `at` has the coordinates, shape (points, keys)."""
    match statistic:
        case Statistic.mean:
            return np.asarray(y.mean(axis=1))
        case Statistic.range:
            return np.asarray(np.ptp(y, axis=1))
        case Statistic.window:
            decades = np.log10(at[:, 0].astype(float))
            spacing = float(np.ptp(decades)) / (len(decades) - 1)
            return np.asarray(ok.sum(axis=1) * spacing)
        case Statistic.best_of_8:
            return _expected_best(y, 8)
        case Statistic.share:
            near = ok & (y >= y.max(axis=1, keepdims=True) - _NEAR_BEST)
            return np.asarray(near.mean(axis=1))
    x = at[:, 0].astype(float) if statistic == Statistic.slope else np.log2(at[:, 0].astype(float))
    x = x - x.mean()
    return np.asarray(y @ x / (x @ x))


def _expected_best(y: np.ndarray, draws: int) -> np.ndarray:
    """The largest value among `draws` of the columns (or all, if fewer), averaged over all such subsets.

    The k-th smallest of n is the largest of comb(k - 1, draws - 1) of the comb(n, draws) subsets.
    """
    n, draws = y.shape[1], min(draws, y.shape[1])
    weights = np.array([comb(k - 1, draws - 1) / comb(n, draws) for k in range(1, n + 1)])
    return np.asarray(np.sort(y, axis=1) @ weights)


def _measure(test: Test, trials: pd.DataFrame, ok: pd.Series[float]) -> pd.Series[float]:
    """The measure of each trial; NaN where it has none."""
    if test.measure in TO_TARGETS:
        return pd.Series(0.0, index=trials.index)  # placeholder: `speed` compares steps target by target
    columns = [_part(test, key, trials, ok) for key in parts(test.measure)]
    value = columns[0] if len(columns) == 1 else columns[0] - columns[1]
    return value.abs() if test.measure.startswith("|") else value


def _of_curve(table: SweepTable, trials: pd.DataFrame, key: str, at: At) -> pd.Series[float]:
    """One value of each trial's curve; NaN where it was not measured."""
    if key not in table.curves:
        raise NoDataError(f"the sweep did not record {key}")
    by_trial = table.curves.dropna(subset=key).sort_values("step").groupby("key")[key]
    name = {At.start: "first", At.end: "last"}.get(at, str(at))
    return trials["key"].map(by_trial.agg(name)).astype(float)


def _part(test: Test, key: str, trials: pd.DataFrame, ok: pd.Series[float]) -> pd.Series[float]:
    if key == "trained":
        return ok
    if key == "diverged":
        return (trials["status"] == "diverged").astype(float).where(trials["status"].isin(["finished", "diverged"]))
    if key not in trials:
        return pd.Series(np.nan, index=trials.index)
    value = trials[key].astype(float)
    # In a statistic over several trials, a diverged one counts as a constant prediction.
    lost = trials["status"] == "diverged"
    meaning = names.metric(key)
    if test.statistic != Statistic.value and meaning.unit == "fraction" and meaning.better == "higher":
        return value.mask(lost, largest_class(trials))
    return value.mask(lost)


def _recorded(test: Test, trials: pd.DataFrame) -> bool:
    if test.measure in TO_TARGETS:
        return any(column.startswith("steps_to/") for column in trials.columns)
    return all(key in TRIAL_OUTCOMES or (key in trials and trials[key].notna().any()) for key in parts(test.measure))


def _where(trials: pd.DataFrame, values: Mapping[str, Any]) -> pd.Series[bool]:
    """Which trials have these values or lack the param: a trial with norm `none` has no placement and stays."""
    mask = pd.Series(True, index=trials.index)
    for key, wanted in values.items():
        if key not in trials:
            raise NoDataError(f"the sweep's trials have no {key}")
        column = trials[key]
        mask &= column.isin(wanted if isinstance(wanted, list) else [wanted]) | column.isna()
    return mask


def _values(row: Mapping[Any, Any], keys: list[str]) -> tuple[Any, ...]:
    return tuple(comparable(row[key]) for key in keys)
