"""Times the training steps of a sweep's arms, in turns, for the report's statements about seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bnbench.analysis import Design, Interval
from bnbench.analysis.timing import timed_levels, timed_ratios
from bnbench.bench.lone_trials import Turns, time_lone
from bnbench.bench.text import aligned
from bnbench.config import Config, Trial
from bnbench.config.workspace import Workspace
from bnbench.packing.paces import shape_of
from bnbench.record.sweep_record import SweepRecord, TimedArm, TimingRecord
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.planning.compared_levels import settled
from bnbench.sweep.planning.describe import arm_keys, arm_label, count, duration, varied_keys
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.new_record import new_record, planned_trials
from bnbench.sweep.planning.plan import DataLoader, Planned, make_plan
from bnbench.sweep.planning.request import sweep_request

_WARM_SECONDS = 1.0  # estimate per arm of loading images, building the network and trying both memory layouts


def time_arms(
    hydra: HydraSweep, words: Sequence[str], rounds: int, seconds: float, *, say: Callable[[str], None] = print
) -> SweepTable:
    """Time the training step of every arm of a sweep whose arithmetic differs, record the times and print them.

    Args:
        hydra: The composed configuration.
        words: The overrides as typed.
        rounds: How many turns each arm takes.
        seconds: The length of each turn.
        say: Where lines for the user go.

    Returns:
        The sweep as planned, with `record.found_out.timing` as `bnbench.load` has it once the sweep is trained.

    Raises:
        ConfigError: If anything is wrong with the configuration of any trial; before anything is timed.
        TrackingError: If the timing cannot be recorded.
    """
    from bnbench.tracking import Store

    request = sweep_request(hydra, words, say)
    config = request.config
    workspace = Workspace.of(config)
    images = DataLoader(workspace.cache)
    plan = make_plan(request.points, images, list)
    config = settled(config, request.grid, plan.planned)
    arms = _arms(plan.planned, request.grid.axes)
    store = Store.open(workspace)
    about = duration(len(arms) * (_WARM_SECONDS + rounds * seconds))
    say(f"{count(len(arms), 'arm')} in turns, {count(rounds, 'round')}, one process on one thread, about {about}")
    trials = {label: (trial, images.load(Config(data=trial.data))) for label, trial in arms.items()}
    turns = time_lone(trials, rounds, seconds, lambda: say("all are warm; leave the machine alone now"))
    record = new_record(config, request.name, plan, request.grid.axes, ["time", *words])
    store.record_timing(_timing(record, arms, turns, seconds))
    planned = planned_trials(plan, record.asked.arm_keys)
    table = store.planned_table(record, planned)
    say("\n".join(_text(table, turns)))
    return table


def _arms(planned: Iterable[Planned], axes: Sequence[str]) -> dict[str, Trial]:
    """One trial, by its label, for each group of arms whose steps compute alike, such as at several learning rates."""
    shapes: dict[str, Trial] = {}
    for p in planned:
        if p.undefined is None:
            shapes.setdefault(shape_of(p.trial), p.trial)
    trials = [*shapes.values()]
    keys = arm_keys(trials, varied_keys(trials, axes))
    return {arm_label(trial, keys): trial for trial in trials}


def _timing(record: SweepRecord, arms: Mapping[str, Trial], turns: Turns, seconds: float) -> TimingRecord:
    """The record of the timing."""
    measured = turns.seconds_per_step
    return TimingRecord(
        name=record.asked.name,
        arms=[TimedArm(label, shape_of(trial), measured[label]) for label, trial in arms.items()],
        command=record.asked.command,
        environment=record.environment,
        created=record.asked.created,
        turn_seconds=seconds,
        load_before=turns.load_before,
        least_share=turns.least_share,
        disturbed=turns.disturbed,
    )


def _text(table: SweepTable, turns: Turns) -> Iterator[str]:
    if turns.disturbed:
        yield (
            f"SOMETHING ELSE RAN: load {turns.load_before:.2f} before the start, {turns.least_share:.0%} of a core in "
            "the worst turn; do not trust the ratios"
        )
    design = Design(table)
    arms = [({**one.where, "level": one.level}, one.seconds) for one in timed_levels(design)]
    ratios = [({**one.where, "a": one.a, "b": one.b}, one.ratio) for one in timed_ratios(design)]
    yield "milliseconds a training step of a lone trial in plain PyTorch"
    yield f"  geometric mean (95 % interval) of {count(max(seconds.n for _, seconds in arms), 'round')}"
    yield from _rows(arms, 1e3)
    if ratios:
        yield "a step of the first by one of the second"
        yield "  geometric mean of the rounds' ratios (95 % interval)"
        yield from _rows(ratios, 1.0)


def _rows(found: Sequence[tuple[Mapping[str, Any], Interval]], scale: float) -> Iterator[str]:
    rows: list[Sequence[str]] = [(*found[0][0], "")]
    for words, (_, mean, low, high) in found:
        bounds = "" if low is None or high is None else f" ({scale * low:.3f} to {scale * high:.3f})"
        rows.append((*("" if pd.isna(word) else str(word) for word in words.values()), f"{scale * mean:.3f}{bounds}"))
    yield from aligned(rows, words=len(rows[0]) - 1)
