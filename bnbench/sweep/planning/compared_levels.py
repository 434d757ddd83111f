"""Settles before training what a sweep compares: the keys of its levels, and whether a setting has two of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bnbench.config import Config, ConfigError, Until
from bnbench.sweep.planning.describe import varied_keys
from bnbench.sweep.planning.grid import Grid, Value
from bnbench.sweep.planning.plan import Planned

if TYPE_CHECKING:
    from bnbench.analysis import Design

Alternatives = Sequence[Mapping[str, Sequence[Value]]]

_MOST_LEVELS = 12  # named in a line
_LEARNING_RATE = "optimizer.lr"
# Pairs share the seed; levels are compared at equal learning rates, and each at its own.
_NEVER_OF_A_LEVEL = {"seed", _LEARNING_RATE}


def settled(config: Config, grid: Grid, planned: Sequence[Planned]) -> Config:
    """The configuration with every key in `sweep.compare` that tells levels apart, see `compared_keys`."""
    varied = varied_keys([p.trial for p in planned], grid.axes)
    compare = compared_keys(planned, config.sweep.compare, grid.sets, varied)
    return replace(config, sweep=replace(config.sweep, compare=compare))


def compared_keys(
    planned: Sequence[Planned], compare: Sequence[str], sets: Sequence[Alternatives], varied: Sequence[str]
) -> list[str]:
    """The keys of `sweep.compare`, and those that belong to a level though the sweep does not name them.

    Two kinds of keys belong to a level, for levels cannot be held equal in them. The first is what the compared arms
    set besides: with `norm=none` beside `norm=batch, norm.placement=before,after` it is the placement; but not where
    several levels take each of its values. The second is what varies in some levels and does not apply to others: the
    momentum, where `norm=none` is a level. A key that follows from those already there is left out. The learning rate
    belongs to a level only where it is named, for levels are compared at equal learning rates, and each at its own.
    Where nothing is to be compared (`sweep.compare=[]`), no key belongs to a level.

    Args:
        planned: The trials.
        compare: `sweep.compare`.
        sets: As of `Grid`.
        varied: The params that make the trials differ.
    """
    if not compare:
        return []
    keys = [*compare]
    free = [key for key in varied if key not in {*compare, *_NEVER_OF_A_LEVEL}]
    for of_arm in _compared_arms(compare, sets, varied):
        for key in free:
            if key not in keys and _decides(planned, of_arm, key) and _sets_apart(planned, keys, key):
                keys.append(key)
    for key in free:
        if key not in keys and _varies_in_some_levels_only(planned, _values(keys), key):
            keys.append(key)
    return keys


def check_comparison(config: Config, grid: Grid, planned: Sequence[Planned]) -> None:
    """See that a sweep of several arms compares something, unless `sweep.compare=[]` says that it need not.

    One arm, on one seed or several, compares nothing and need not say so; but it has nothing to settle.

    Args:
        config: Of the sweep.
        grid: What varies.
        planned: The trials.

    Raises:
        ConfigError: If each setting has one level only; one line with the keys that `sweep.compare` could name.
    """
    config = settled(config, grid, planned)
    design = _design(config, grid, planned)
    keys = design.strata
    if config.sweep.until != Until.seeds and not keys and len(design.levels) < 2:
        raise ConfigError(
            f"sweep.until={config.sweep.until} needs levels to compare, and there is one only "
            f"({_listed(design.levels)}); give {' or '.join(config.sweep.compare)} several values, or leave "
            "sweep.until out"
        )
    if not config.sweep.compare or not keys or _levels_with_another(design):
        return
    compare = ", ".join(config.sweep.compare)
    raise ConfigError(
        f"sweep.compare=[{compare}] compares nothing: each setting has one level only ({_listed(design.levels)}); "
        f"add to it what is to be compared, of {', '.join(keys)}, or let {compare} take several values in one setting "
        "(sweep.compare=[] trains without comparing)"
    )


def tunes_rates(config: Config, grid: Grid, planned: Sequence[Planned]) -> bool:
    """Whether tuning seeds choose each level's learning rate; of a `settled` configuration."""
    return bool(config.sweep.tuning_seeds) and _LEARNING_RATE in _design(config, grid, planned).strata


def describe_levels(config: Config, grid: Grid, planned: Sequence[Planned]) -> str:
    """What is compared within what, in a line or two; of a `settled` configuration."""
    design = _design(config, grid, planned)
    compared = _levels_with_another(design)
    if not compared:
        return "compares nothing"
    not_compared = [level for level in design.levels if level not in compared]
    within = design.strata
    lines = [f"compares {_listed(compared)}" + (f" (at each {', '.join(within)})" if within else "")]
    if not_compared:
        lines.append(f"compared with nothing, for no setting has another level beside it: {_listed(not_compared)}")
    return "\n".join(lines)


def _compared_arms(
    compare: Sequence[str], sets: Sequence[Alternatives], varied: Sequence[str]
) -> Iterator[Callable[[Planned], object]]:
    """For each set of arms that chooses the compared level: which of its alternatives a trial was planned from.

    A set that leaves all compared keys as they are, though another part of the sweep varies them, chooses something
    else, such as the model; and so does one with several levels in an alternative, such as the batch size.
    """
    telling = {*compare} & {*varied} or {*compare}
    for alternatives in sets:
        keys = {key for arm in alternatives for key in arm}
        compared_in_set = {*compare} & keys
        # Of norm and norm.placement, norm alone is a choice.
        choices = {key for key in compared_in_set if key.rpartition(".")[0] not in compared_in_set}
        if telling & keys and all(len(arm.get(key, ())) < 2 for arm in alternatives for key in choices):
            yield partial(_alternative, keys=keys)


def _sets_apart(planned: Sequence[Planned], compare: Sequence[str], key: str) -> bool:
    """Whether the key tells trials of one level apart, and not by values that several levels take each."""
    if _decides(planned, _values(compare), key):
        return False
    levels_at: dict[str, set[str]] = {}
    for p in planned:
        levels_at.setdefault(repr(p.trial.params.get(key)), set()).add(repr(_values(compare)(p)))
    return any(len(levels) == 1 for levels in levels_at.values())


def _alternative(planned: Planned, keys: Collection[str]) -> object:
    chosen = [text for text in planned.overrides if text.partition("=")[0] in keys]
    return chosen, [(key, repr(planned.values.get(key))) for key in sorted(keys)]


def _values(keys: Sequence[str]) -> Callable[[Planned], object]:
    return lambda p: [repr(p.trial.params.get(key)) for key in keys]


def _decides(planned: Sequence[Planned], group_of: Callable[[Planned], object], key: str) -> bool:
    """Whether the trials of each group agree in the key."""
    return all(len(values) == 1 for values in _values_by_group(planned, group_of, key).values())


def _varies_in_some_levels_only(planned: Sequence[Planned], level: Callable[[Planned], object], key: str) -> bool:
    """Whether the key varies in a level while no trial of another level has it."""
    groups = _values_by_group(planned, level, key).values()
    return any(values == {None} for values in groups) and any(len(values) > 1 for values in groups)


def _values_by_group(
    planned: Sequence[Planned], group_of: Callable[[Planned], object], key: str
) -> dict[str, set[str | None]]:
    """The key's values in each group of trials; None where it does not apply."""
    groups: dict[str, set[str | None]] = {}
    for p in planned:
        value = repr(p.trial.params[key]) if key in p.trial.params else None
        groups.setdefault(repr(group_of(p)), set()).add(value)
    return groups


def _design(config: Config, grid: Grid, planned: Sequence[Planned]) -> Design:
    """The sweep before anything of it is trained, as far as levels and settings go."""
    import pandas as pd

    from bnbench.analysis import Design
    from bnbench.record.planned_trial import MISSING
    from bnbench.record.sweep_record import Asked, SweepRecord
    from bnbench.record.sweep_table import SweepTable, param_column

    trials = [p.trial for p in planned]
    columns = {
        "key": pd.Series([trial.key for trial in trials]),
        "status": pd.Series([MISSING] * len(trials)),
        "tuning": pd.Series([trial.seed in config.sweep.tuning_seeds for trial in trials]),
    }
    for name in dict.fromkeys(key for trial in trials for key in trial.params):
        columns[name] = param_column([trial.params.get(name) for trial in trials])
    asked = Asked("", "", compare=config.sweep.compare, varied=varied_keys(trials, grid.axes))
    return Design(SweepTable(SweepRecord(asked), pd.DataFrame(columns), pd.DataFrame()))


def _levels_with_another(design: Design) -> list[str]:
    """The levels that share a setting with another one; where learning rates are tuned, at whatever learning rate."""
    trials = design.table.trials
    keys = design.conditions if trials["tuning"].any() else design.strata
    compared: set[str] = set()
    for _, group in design.split(trials, keys):
        levels_here = {*design.labels.loc[group.index]}
        compared |= levels_here if len(levels_here) > 1 else set()
    return [level for level in design.levels if level in compared]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LEVELS} more" if len(names) > _MOST_LEVELS else ""
    return "; ".join(names[:_MOST_LEVELS]) + more
