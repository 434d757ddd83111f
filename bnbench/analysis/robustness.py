"""Whether a difference of two levels survives the choices that another analyst might have made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bnbench import names
from bnbench.analysis.contrast import Contrast, contrast
from bnbench.analysis.intervals import Interval
from bnbench.analysis.steps import StepsContrast, contrast_steps
from bnbench.analysis.table import targets
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.table import SweepTable

__all__ = ["robustness", "robustness_sentence"]

_ACCURACIES = {
    names.TEST_ACC: "test accuracy",
    names.VAL_ACC_FINAL: "last validation accuracy",
    names.VAL_ACC: "last validation accuracy on the curve",  # of a sweep recorded before the one above was measured
    names.VAL_ACC_BATCH: "last validation accuracy, under batch statistics",
    names.ACC_BEST: "best validation accuracy",
}


def robustness(table: SweepTable, a: str, b: str) -> pd.DataFrame:
    """The difference a - b under every defensible choice, each with whether the answer is the same.

    The choices: each level's best learning rate, and each learning rate for both; accuracy on the test images, on the
    validation images at the last evaluation or the best, and under the batch's own statistics (of a level that keeps
    none, its only accuracy); steps to each target, to its first hit and to where it holds. The answer is that of the
    first row of a stratum (without the learning rate): test accuracy at the best learning rates if there are tuning
    seeds, or else at the learning rate with the median difference.

    Args:
        table: The sweep.
        a: A level, as `levels` names it.
        b: Another.

    Returns:
        The strata's keys, without the learning rate; `choice` in words; `rates`, "best" or the learning rate for both;
        `measure`; `n`, `advantage`, `low`, `high`: of a over b, positive where a is better, in fractions of accuracy
        or log steps; `descriptive`: trials failed, so that an accuracy is among survivors; `answer`: "a", "b" or
        "unclear", as the interval lies; `holds`: the answer is that of the stratum's first row, and not unclear.

    Raises:
        ValueError: If the sweep has no such level.
    """
    rows = [_row(*found) for found in _choices(_with_last_accuracies(table), a, b)]
    strata: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for where, row in rows:
        strata.setdefault(tuple(None if pd.isna(v) else v for v in where.values()), []).append({**where, **row})
    kept = []
    for group in strata.values():
        first = _reference(group)
        ordered = [first, *(row for row in group if row is not first)]
        kept += [{**row, "holds": row["answer"] == first["answer"] != "unclear"} for row in ordered]
    return pd.DataFrame(kept)


def robustness_sentence(rows: pd.DataFrame) -> str:
    """How many of the choices agree, in words.

    Args:
        rows: Rows of `robustness`, of one stratum.
    """
    if rows.empty:
        return "no comparison was possible"
    first, others = rows.iloc[0], rows["answer"].value_counts()
    n = len(rows)
    if first["answer"] == "unclear":
        return f"unclear by the main analysis; a leads in {others.get('a', 0)} and b in {others.get('b', 0)} of {n}"
    other = "b" if first["answer"] == "a" else "a"
    reversed_in = f", reversed in {others[other]}" if other in others else ""
    return f"holds in {int(rows['holds'].sum())} of {n}{reversed_in}"


def _with_last_accuracies(table: SweepTable) -> SweepTable:
    """The table with each trial's last validation accuracies that are on its curves alone, by the keys of those.

    A level without batch statistics has its accuracy on the same images in their place.
    """
    if names.VAL_ACC not in table.curves:
        return table
    last = table.curves.sort_values("step", kind="stable").groupby("key")
    accuracy = table.trials["key"].map(last[names.VAL_ACC].last())
    columns = {} if names.VAL_ACC_FINAL in table.trials else {names.VAL_ACC: accuracy}
    if names.VAL_ACC_BATCH in table.curves and table.curves[names.VAL_ACC_BATCH].notna().any():
        columns[names.VAL_ACC_BATCH] = table.trials["key"].map(last[names.VAL_ACC_BATCH].last()).fillna(accuracy)
    return replace(table, trials=table.trials.assign(**columns))


def _choices(table: SweepTable, a: str, b: str) -> Iterator[tuple[Contrast | StepsContrast, str]]:
    for rates in ("best", "matched"):
        for measure in _ACCURACIES:
            if measure in table.trials or measure == names.TEST_ACC:  # that of a sweep of which no trial finished
                for found in contrast(table, a, b, measure, rates=rates):
                    yield found, rates
        for target in targets(table):
            for sustained in (False, True):
                for steps in contrast_steps(table, a, b, target, sustained=sustained, rates=rates):
                    yield steps, rates


def _row(found: Contrast | StepsContrast, rates: str) -> tuple[dict[str, Any], dict[str, Any]]:
    where = {key: value for key, value in found.where.items() if key != LEARNING_RATE}
    rate = found.where.get(LEARNING_RATE)
    at = "each at its best learning rate" if rates == "best" else "" if rate is None else f"learning rate {rate:g}"
    if isinstance(found, Contrast):
        measure, interval, what = found.measure, found.interval, _ACCURACIES[found.measure]
    else:
        measure, interval = names.steps_to(found.target), _advantage(found)
        what = f"steps to {found.target:g}{' for good' if found.sustained else ''}"
    low, high = (np.nan if bound is None else bound for bound in (interval.low, interval.high))
    answer = "a" if low > 0 else "b" if high < 0 else "unclear"
    return where, {
        "choice": ", ".join(filter(None, [what, at])),
        "rates": "best" if rates == "best" else rate,
        "measure": measure,
        "n": interval.n,
        "advantage": interval.mean,
        "low": low,
        "high": high,
        "descriptive": isinstance(found, Contrast) and found.descriptive,
        "answer": answer,
    }


def _advantage(found: StepsContrast) -> Interval:
    """How much faster a is, in log steps; where misses leave no ratio, none."""
    ratio = found.comparison.ratio
    if ratio is None:
        return Interval(found.comparison.n, float("nan"), None, None)
    low, high = (None if bound is None else _minus_log(bound) for bound in (ratio.high, ratio.low))
    return Interval(ratio.n, _minus_log(ratio.mean), low, high)


def _minus_log(ratio: float) -> float:
    return -math.log(ratio) if ratio else math.inf


def _reference(group: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [row for row in group if row["measure"] == names.TEST_ACC]
    best = [row for row in accuracies if row["rates"] == "best"]
    if best:
        return best[0]
    ordered = sorted(accuracies, key=lambda row: (np.isnan(row["advantage"]), row["advantage"]))
    known = [row for row in ordered if not np.isnan(row["advantage"])] or ordered
    return known[(len(known) - 1) // 2]
