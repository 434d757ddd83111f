"""Whether a difference of two levels survives the choices that another analyst might have made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.contrast import Answer, Contrast, Rates, compare_levels
from bnbench.analysis.intervals import Interval
from bnbench.analysis.levels import levels, targets
from bnbench.analysis.significance import ALPHA, holm, seeds_suffice
from bnbench.analysis.steps import StepsContrast, contrast_steps
from bnbench.analysis.summary import contrasts
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.record import names
from bnbench.record.sweep_table import SweepTable

_ACCURACIES = {
    names.TEST_ACC: "test accuracy",
    names.VAL_ACC_FINAL: "last validation accuracy",
    names.VAL_ACC: "last validation accuracy on the curve",  # of a sweep recorded before the one above was measured
    names.VAL_ACC_BATCH: "last validation accuracy, under batch statistics",
    names.ACC_BEST: "best validation accuracy",
}

Pairs = tuple[tuple[str, str], ...]


def robustness(table: SweepTable, a: str, b: str) -> pd.DataFrame:
    """The difference a - b under every defensible choice, each with whether the answer is the same.

    The choices: each level's best learning rate, and each learning rate for both; accuracy on the test images, on the
    validation images at the last evaluation or the best, and under the batch's own statistics (of a level that keeps
    none, its only accuracy); steps to each target, to its first hit and to where it holds. The answer is that of the
    first row of a stratum (without the learning rate): test accuracy at the best learning rates if there are tuning
    seeds, or else at the learning rate with the median difference.

    Every choice is judged by the rules of the sweep's conclusion, see `Contrast.answer`. Where trials failed, their
    successes stand in place of every accuracy, and where misses leave no ratio of steps, the trials that reached the
    target. Where the sweep file names its contrasts, each choice is corrected for all of them in all strata, as the
    main analysis is: another analyst would have done so too. Where it names none, nothing is corrected.

    Args:
        table: The sweep.
        a: A level, as `levels` names it.
        b: Another.

    Returns:
        The strata's keys, without the learning rate; `choice` in words; `rates`, "best" or the learning rate for both;
        `measure`; `n`, `advantage`, `low`, `high`: of a over b, positive where a is better, in fractions of accuracy
        or log steps; `counts`: "10 of 10 against 3 of 10" where these decide, and there is no interval, or empty;
        `p`, after Holm (Bonferroni, where counts decide) in a family of `family` comparisons, or as it is where that
        is 0; `answer`: "a", "b" or "unclear"; `holds`: the answer is that of the stratum's first row, and not unclear.

    Raises:
        ValueError: If the sweep has no such level.
    """
    present = levels(table)
    for level in (level for level in (a, b) if level not in present):
        raise ValueError(f"level {level!r} is not in this sweep; it compares {', '.join(present)}")
    listed = contrasts(table) if table.record.asked.contrasts else []
    turned = [(a, b) if pair == (b, a) else pair for pair in listed]
    named = (a, b) in turned
    found = _every_choice(table, tuple(turned) if named else ((a, b),), named)
    strata: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for pair, where, row in found:
        if pair == (a, b):
            at = tuple(None if pd.isna(v) else v for v in where.values())
            strata.setdefault(at, []).append({**where, **row})
    kept = []
    for group in strata.values():
        first = _reference(group)
        ordered = [first, *(row for row in group if row is not first)]
        kept += [{**row, "holds": row["answer"] == first["answer"] != "unclear"} for row in ordered]
    return pd.DataFrame(kept)


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


@lru_cache(maxsize=4)  # the rows of one pair depend on all that is corrected for
def _every_choice(
    table: SweepTable, pairs: Pairs, corrected: bool
) -> list[tuple[tuple[str, str], dict[str, Any], dict[str, Any]]]:
    """For each choice, stratum and pair: (pair, stratum, row), each choice corrected for all pairs in all strata."""
    table, found = _with_last_accuracies(table), []
    choices: tuple[Rates, ...] = ("best", "matched")
    for rates in choices:
        for measure in _ACCURACIES:
            if measure in table.trials or measure == names.TEST_ACC:  # that of a sweep of which no trial finished
                for one in _accuracies(table, pairs, measure, rates, corrected):
                    if measure == names.TEST_ACC or not one.descriptive:  # successes are the same by any accuracy
                        found.append(_row(one, rates, _accuracy_columns(one)))
        for target in targets(table):
            for sustained in (False, True):
                steps = [
                    one
                    for a, b in pairs
                    for one in contrast_steps(table, a, b, target, sustained=sustained, rates=rates)
                ]
                found += [_row(one, rates, columns) for one, columns in _steps_columns(steps, corrected)]
    return found


def _accuracies(table: SweepTable, pairs: Pairs, measure: str, rates: Rates, corrected: bool) -> Iterator[Contrast]:
    found = [one for one in compare_levels(table, measure, rates, pairs) if (one.a, one.b) in pairs]
    for one, adjusted in zip(found, holm([one.p for one in found]), strict=True):
        yield replace(one, family=len(found), adjusted_p=adjusted) if corrected else replace(one, family=0)


def _row(
    found: Contrast | StepsContrast, rates: Rates, columns: dict[str, Any]
) -> tuple[tuple[str, str], dict[str, Any], dict[str, Any]]:
    where = {key: value for key, value in found.where.items() if key != LEARNING_RATE}
    rate = found.where.get(LEARNING_RATE)
    at = "each at its best learning rate" if rates == "best" else "" if rate is None else f"learning rate {rate:g}"
    choice = ", ".join(filter(None, [columns.pop("what"), at]))
    return (found.a, found.b), where, {"choice": choice, "rates": "best" if rates == "best" else rate, **columns}


def _accuracy_columns(found: Contrast) -> dict[str, Any]:
    same = {"measure": found.measure, "family": found.family, "answer": found.answer}
    if not found.descriptive:
        p = found.adjusted_p if found.primary else found.p
        columns = {"n": found.interval.n, **_advantage(found.interval), "counts": "", "p": p}
        return {"what": _ACCURACIES[found.measure], **columns, **same}
    (hits_a, of_a), (hits_b, of_b) = found.successes
    share = hits_a / of_a - hits_b / of_b if of_a and of_b else math.nan
    counts = {"n": min(of_a, of_b), "advantage": share, "low": np.nan, "high": np.nan}
    p = _bonferroni(found.p_mcnemar, found.family)
    return {"what": "trials that succeeded", **counts, "counts": _against(hits_a, of_a, hits_b, of_b), "p": p, **same}


def _steps_columns(found: Sequence[StepsContrast], corrected: bool) -> Iterator[tuple[StepsContrast, dict[str, Any]]]:
    """Of one target: each comparison with what became of it."""
    family = len(found) if corrected else 0
    adjusted = holm([one.comparison.p for one in found])
    for one, p_holm in zip(found, adjusted, strict=True):
        compared, doubtful = one.comparison, any(one.chosen.get(f"at_edge_{side}", False) for side in "ab")
        what = f"steps to {one.target:g}{' for good' if one.sustained else ''}"
        columns: dict[str, Any] = {"what": what, "measure": names.steps_to(one.target), "family": family}
        if compared.ratio is None:
            hits = (compared.reached_a, compared.reached_b)
            p = _bonferroni(compared.p_mcnemar, family)
            columns |= {"n": compared.n, "advantage": np.nan, "low": np.nan, "high": np.nan}
            columns |= {"counts": _against(hits[0], compared.n, hits[1], compared.n), "p": p}
            leads: Answer = "a" if hits[0] > hits[1] else "b"
        else:
            p = p_holm if corrected else compared.p
            columns |= {"n": compared.ratio.n, **_advantage(_faster(compared.ratio)), "counts": "", "p": p}
            leads = "a" if columns["low"] > 0 else "b" if columns["high"] < 0 else "unclear"
            doubtful = doubtful or not seeds_suffice(compared.ratio.n, max(1, family), ALPHA)
        yield one, {**columns, "answer": leads if p <= ALPHA and not doubtful else "unclear"}


def _bonferroni(p: float, family: int) -> float:
    return p if math.isnan(p) else min(1.0, p * max(1, family))


def _advantage(interval: Interval) -> dict[str, float]:
    low, high = (np.nan if bound is None else bound for bound in (interval.low, interval.high))
    return {"advantage": interval.mean, "low": low, "high": high}


def _against(hits_a: int, of_a: int, hits_b: int, of_b: int) -> str:
    return f"{hits_a} of {of_a} against {hits_b} of {of_b}"


def _faster(ratio: Interval) -> Interval:
    """How much faster a is, in log steps."""
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
