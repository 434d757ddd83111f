"""What a sweep compares, read off its table: levels, the settings within which they are compared, and targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations, product
from typing import Any, Protocol, TypeVar

import pandas as pd

from bnbench.record.sweep_table import SweepTable

LEARNING_RATE = "optimizer.lr"

ALL_PAIRS_OF = 4  # the most levels of which all pairs are shown: six pairs

_NORM = ("norm", "norm.placement")
_COARSE_FIRST = ("data", "model", "training.batch_size")


class Placed(Protocol):
    """Anything that was found in one setting."""

    @property
    def where(self) -> Mapping[str, Any]:
        """The setting's params, by key."""


_Placed = TypeVar("_Placed", bound=Placed)


class Design:
    """The levels that a sweep compares, and the strata within which it compares them.

    Each property is worked out once, when it is first asked for.

    Attributes:
        table: The sweep, which must not change any more.
    """

    def __init__(self, table: SweepTable) -> None:
        self.table = table

    @cached_property
    def labels(self) -> pd.Series[str]:
        """Each trial's compared level in a word or two, aligned with `table.trials`.

        A trial without norm is "none". With one kind of norm in two placements the others are "before"
        and "after"; with several kinds, or beside norms that stand where a network has them, "batch before", and so
        on. Other compared keys read "key=value"; where several
        of them vary beside the norm, the first planned value of each is left out. Where one key with words as values is
        all that varies, the word stands alone: "native", "manual". A norm of the user's own has the name of its
        function, where `norm.factory` is compared.
        """
        trials, compared = _named_by_function(self.table.trials, self._compared)
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
            parts.append(
                trials[key].map(lambda value, key=key: "" if value == usual.get(key) else _part(key, value, bare))
            )
        joined = [", ".join(part for part in row if part) for row in zip(*parts, strict=True)]
        return pd.Series(joined or ["all"] * len(trials), index=trials.index, dtype=object, name="level")

    @cached_property
    def levels(self) -> list[str]:
        """The compared levels in the planned order, "none" first."""
        return sorted(self.labels.unique(), key=lambda label: label != "none")

    @cached_property
    def strata(self) -> list[str]:
        """The varied keys within which levels are compared: neither compared themselves nor the seed.

        A key that follows from the others (the depth, where each model has its own) is left out. Data,
        model and batch size come first, the learning rate last.
        """
        keys: list[str] = []
        for key in self._candidates:
            if not _follows_from(self.table.trials, key, [*self._compared, *keys]):
                keys.append(key)
        return keys

    @property
    def conditions(self) -> list[str]:
        """The keys of the strata without the learning rate."""
        return [key for key in self.strata if key != LEARNING_RATE]

    @cached_property
    def unmatched(self) -> list[str]:
        """The varied keys whose value changes with the compared level, so that they may explain its differences too.

        A norm's own keys are not counted: they belong to the level.
        """
        return [
            key
            for key in self._candidates
            if key not in self.strata
            and not (key.startswith("norm.") and "norm" in self._compared)
            and not _follows_from(self.table.trials, key, self.strata)
        ]

    @cached_property
    def targets(self) -> list[float]:
        """Every validation accuracy whose first hit was recorded, ascending; models may have different ones."""
        heads = (column.partition("/val_acc_") for column in self.table.trials.columns)
        return sorted(float(target) for head, _, target in heads if head == "reached" and target)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of levels (a, b) whose difference a - b is shown: those that the sweep file names, or else all.

        Where it names none whose levels the sweep has, all pairs of up to `ALL_PAIRS_OF` levels are shown; with more
        levels each is compared with the first only: nine levels have 36 pairs, which nobody reads.
        """
        asked = map(levels_of, self.table.record.asked.contrasts)
        named = [(pair[0], pair[1]) for pair in asked if len(pair) == 2 and {*pair} <= {*self.levels}]
        few = len(self.levels) <= ALL_PAIRS_OF
        every = combinations(self.levels, 2) if few else product(self.levels[:1], self.levels[1:])
        return named or [(b, a) for a, b in every]

    def check_levels(self, *asked: str) -> None:
        """Refuse levels that the sweep does not have.

        Raises:
            ValueError: If one of the levels asked for is not in the sweep.
        """
        for level in asked:
            if level not in self.levels:
                raise ValueError(f"level {level!r} is not in this sweep; it compares {', '.join(self.levels)}")

    def by_level(self, trials: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """The trials of each level that has any."""
        groups = dict(iter(trials.groupby(self.labels.loc[trials.index], sort=False)))
        yield from ((level, groups[level]) for level in self.levels if level in groups)

    def split(self, trials: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
        """The trials of each combination of the keys' values: numbers in ascending, others in planned order."""
        if not keys:
            if len(trials):
                yield {}, trials
            return
        groups = [
            (dict(zip(keys, values, strict=True)), group)
            for values, group in trials.groupby([*keys], dropna=False, sort=False)
        ]
        yield from sorted(groups, key=lambda group: tuple(self.rank(key, group[0][key]) for key in keys))

    def rank(self, key: str, value: Any) -> int:
        """A param value's position among the sweep's: numbers in ascending, others in planned order."""
        if key not in self._ranks:
            self._ranks[key] = _ranks(self.table.trials[key])
        return self._ranks[key][comparable(value)]

    @cached_property
    def _ranks(self) -> dict[str, dict[Any, int]]:
        return {}

    @cached_property
    def _compared(self) -> list[str]:
        return [key for key in self.table.record.asked.compare if key in self.table.trials]

    @cached_property
    def _candidates(self) -> list[str]:
        asked, trials = self.table.record.asked, self.table.trials
        free = [key for key in asked.varied if key in trials and key not in {*asked.compare, "seed"}]
        coarse = [key for key in _COARSE_FIRST if key in free]
        fine = [key for key in free if key == LEARNING_RATE]
        return [*coarse, *(key for key in free if key not in {*coarse, *fine}), *fine]


def levels_of(contrast: str) -> list[str]:
    """The levels in a contrast as a sweep file writes it.

    >>> levels_of("before - after")
    ['before', 'after']
    """
    return [*map(str.strip, contrast.split(" - "))]


def matching(placed: Iterable[_Placed], values: Mapping[str, Any]) -> list[_Placed]:
    """Those of `placed` whose settings have these values; a missing value matches a missing one."""
    wanted = {key: comparable(value) for key, value in values.items()}
    return [one for one in placed if all(comparable(one.where[key]) == value for key, value in wanted.items())]


def setting_of(where: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a setting as a tuple that can serve as a dict key."""
    return tuple(map(comparable, where.values()))


def comparable(value: Any) -> Any:
    """A param's value as a dict key that equals itself: NaN becomes None (NaN != NaN), a list a tuple."""
    if isinstance(value, list | tuple):
        return tuple(map(comparable, value))
    return None if pd.isna(value) else value


def _named_by_function(trials: pd.DataFrame, compared: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Name a norm, network or data set of the user's own by its function; also returns the compared keys that are left.

    The function's module is left out, unless two compared functions would then share a name.
    """
    for factory in [key for key in compared if key.endswith(".factory")]:
        section = factory.removesuffix(".factory")
        if section not in compared:
            continue
        present = trials[factory].notna()
        for name in (trials[factory].str.rpartition(":")[2], trials[factory]):
            named = name.where(present, trials[section])
            if named.nunique() == len(trials[[section, factory]].drop_duplicates()):
                break
        trials, compared = trials.assign(**{section: named}), [key for key in compared if key != factory]
    return trials, compared


def _norm_labels(trials: pd.DataFrame, *, placed: bool) -> pd.Series[str]:
    norm, normed = trials["norm"].astype(object), trials["norm"] != "none"
    if not placed or trials.loc[normed, "norm.placement"].nunique(dropna=False) < 2:
        return norm
    label = trials["norm.placement"].astype(object)
    as_they_are = normed & label.isna()  # where a network of the user's own has its norms
    if as_they_are.any() or norm[normed].nunique() > 1:
        label = norm + " " + label
    return label.where(normed & ~as_they_are, norm)


def _part(key: str, value: Any, bare: bool) -> str:
    if pd.isna(value):
        return ""
    return str(value) if bare else f"{key}={_text(value)}"


def _text(value: Any) -> str:
    if pd.api.types.is_bool(value):
        return str(value).lower()  # as a user types it
    return f"{value:g}" if isinstance(value, float) else str(value)


def _ranks(column: pd.Series[Any]) -> dict[Any, int]:
    values = [comparable(value) for value in column.unique()]
    if pd.api.types.is_numeric_dtype(column):
        values.sort(key=lambda value: -math.inf if value is None else value)
    return {value: rank for rank, value in enumerate(values)}


def _follows_from(trials: pd.DataFrame, key: str, others: Sequence[str]) -> bool:
    if not others:
        return bool(trials[key].nunique(dropna=False) <= 1)
    groups = trials.groupby(list(others), dropna=False, sort=False)[key]
    return bool(groups.nunique(dropna=False).max() <= 1)
