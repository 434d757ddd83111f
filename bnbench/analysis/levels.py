"""What a sweep compares, read off its table: levels, and the settings within which they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from bnbench.record.sweep_table import SweepTable

_NORM = ("norm", "norm.placement")
_COARSE_FIRST = ("data", "model", "training.batch_size")
_FINE_LAST = "optimizer.lr"


@lru_cache(maxsize=4)
def level_labels(table: SweepTable) -> pd.Series[str]:
    """Each trial's compared level in a word or two, aligned with `table.trials`.

    A trial without norm is "none". With one kind of norm in two placements the others are "before"
    and "after"; with several kinds "batch before", and so on. Other compared keys read "key=value", where several
    vary beside the norm only if the value is not the first planned; a word that is all there is to tell stands alone:
    "native", "manual". A norm of the user's own has the name of its function, where `norm.factory` is compared.
    """
    trials, compared = _own_names(table.trials, _compared(table))
    parts = []
    if "norm" in compared:
        norm = _norm_labels(trials, placed="norm.placement" in compared)
        if norm.nunique() > 1 or all(key in _NORM for key in compared):
            parts.append(norm)
    others = [key for key in compared if key not in _NORM or "norm" not in compared]
    varied = [key for key in others if trials[key].nunique(dropna=False) > 1]
    bare = len(varied) == 1 and not parts and all(isinstance(value, str) for value in trials[varied[0]])
    usual = {key: trials[key].dropna().iloc[0] for key in varied} if parts and len(varied) > 1 else {}
    for key in varied or (others if not parts else []):
        parts.append(trials[key].map(lambda value, key=key: "" if value == usual.get(key) else _part(key, value, bare)))
    joined = [", ".join(part for part in row if part) for row in zip(*parts, strict=True)]
    return pd.Series(joined or ["all"] * len(trials), index=trials.index, dtype=object, name="level")


def _own_names(trials: pd.DataFrame, compared: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The trials with a norm, network or data set of the user's own named by its function, and the keys that are left.

    The function goes without its module, unless two compared ones would then share a name.
    """
    for factory in [key for key in compared if key.endswith(".factory")]:
        section = factory.removesuffix(".factory")
        if section not in compared:
            continue
        known = trials[factory].notna()
        for name in (trials[factory].str.rpartition(":")[2], trials[factory]):
            named = name.where(known, trials[section])
            if named.nunique() == len(trials[[section, factory]].drop_duplicates()):
                break
        trials, compared = trials.assign(**{section: named}), [key for key in compared if key != factory]
    return trials, compared


def _norm_labels(trials: pd.DataFrame, *, placed: bool) -> pd.Series[str]:
    normed = trials["norm"] != "none"
    if not placed or trials.loc[normed, "norm.placement"].nunique() < 2:
        return trials["norm"].astype(object)
    label = trials["norm.placement"].astype(object)
    if trials.loc[normed, "norm"].nunique() > 1:
        label = trials["norm"].astype(object) + " " + label
    return label.where(normed, "none")


def _part(key: str, value: Any, bare: bool) -> str:
    if pd.isna(value):
        return ""
    return str(value) if bare else f"{key}={_text(value)}"


def _text(value: Any) -> str:
    if pd.api.types.is_bool(value):
        return str(value).lower()  # as it is typed
    return f"{value:g}" if isinstance(value, float) else str(value)


def levels(table: SweepTable) -> list[str]:
    """The compared levels in the planned order, "none" first."""
    return sorted(level_labels(table).unique(), key=lambda label: label != "none")


def strata(table: SweepTable) -> list[str]:
    """The varied keys within which levels are compared: neither compared themselves nor the seed.

    A key that follows from the others (the depth, where each model has its own) is left out. Data,
    model and batch size come first, the learning rate last.
    """
    kept: list[str] = []
    for key in _candidates(table):
        if not _follows_from(table.trials, key, [*_compared(table), *kept]):
            kept.append(key)
    return kept


def unmatched(table: SweepTable) -> list[str]:
    """The varied keys that move with the compared level, so that a difference of levels is theirs too.

    A norm's own keys are not counted: they belong to the level.
    """
    compared, kept = _compared(table), strata(table)
    return [
        key
        for key in _candidates(table)
        if key not in kept
        and not (key.startswith("norm.") and "norm" in compared)
        and not _follows_from(table.trials, key, kept)
    ]


def targets(table: SweepTable) -> list[float]:
    """Every validation accuracy whose first hit was recorded, ascending; models may have different ones."""
    heads = (column.partition("/val_acc_") for column in table.trials.columns)
    return sorted(float(target) for head, _, target in heads if head == "reached" and target)


def _compared(table: SweepTable) -> list[str]:
    return [key for key in table.record.asked.compare if key in table.trials]


def _candidates(table: SweepTable) -> list[str]:
    free = [
        key
        for key in table.record.asked.varied
        if key in table.trials and key not in {*table.record.asked.compare, "seed"}
    ]
    coarse = [key for key in _COARSE_FIRST if key in free]
    fine = [key for key in free if key == _FINE_LAST]
    return [*coarse, *(key for key in free if key not in {*coarse, *fine}), *fine]


def _follows_from(trials: pd.DataFrame, key: str, given: Sequence[str]) -> bool:
    if not given:
        return bool(trials[key].nunique(dropna=False) <= 1)
    groups = trials.groupby(list(given), dropna=False, sort=False)[key]
    return bool(groups.nunique(dropna=False).max() <= 1)
