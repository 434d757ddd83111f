"""Times recording trials, reading a large sweep back and reporting it, without any training."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

from bnbench.bench.workloads import trials_of
from bnbench.config import Placement, Trial
from bnbench.config.workspace import Workspace
from bnbench.record import names
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.report import Contents, write_report
from bnbench.sweep.hydra_session import compose_one
from bnbench.sweep.planning.new_record import new_record
from bnbench.sweep.planning.plan import Plan, Planned
from bnbench.tracking import Store
from bnbench.training.measures import summarize_curve

CURVES = (*names.CURVES, names.GRADIENT_SLOPE)
"""Six metrics with a value at every evaluation."""

_OVERRIDES = ("model=fc", "norm=batch", "training.steps=1000")
_SEEDS = 10
_PACK = 16
_AXES = ("norm.placement", "optimizer.lr", "training.batch_size", "seed")


def time_recording(folder: Path, trials: int, points: int) -> dict[str, float]:
    """Record made-up results in a fresh SQLite database, pack by pack, and make the sweep's report from it.

    Args:
        folder: The folder for the database and the report.
        trials: Number of trials.
        points: Points of each of the six curves.

    Returns:
        `record_ms` and `record_processor_ms`, wall and processor milliseconds to record one trial; `read_seconds` to
        read the table; `report_seconds` to write its report in every format.
    """
    planned = [trial for trial, _ in zip(_grid(), range(trials), strict=False)]
    plan = Plan([Planned(trial, [], {}, None) for trial in planned], 0, frozenset(), [])
    config = compose_one([*_OVERRIDES, "sweep.contrasts=[before - after]", "sweep.axis=optimizer.lr"])
    workspace = Workspace.at(folder, experiment="recording")
    store = Store.open(workspace)
    run_id = store.start_sweep(
        new_record(config, "recording", plan, _AXES, []), [PlannedTrial(t.key, t.params) for t in planned]
    )
    wall, processor = time.perf_counter(), time.process_time()
    for start in range(0, trials, _PACK):
        store.record([_result(trial, points) for trial in planned[start : start + _PACK]], run_id)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    store.finish_sweep(run_id, status="FINISHED", metrics={}, artifacts=[], note="")
    reader = Store.open(workspace, create=False)
    started = time.perf_counter()
    table = reader.load(run_id)
    read = time.perf_counter()
    write_report(Contents(table), folder / "report")
    return {
        "record_ms": 1000 * wall / trials,
        "record_processor_ms": 1000 * processor / trials,
        "read_seconds": read - started,
        "report_seconds": time.perf_counter() - read,
    }


def _grid() -> Iterator[Trial]:
    """An endless series of trials, in arms of ten seeds."""
    [trial] = trials_of(_OVERRIDES, [0])
    arms = product(range(1, 10**6), (0.01, 0.03, 0.1, 0.3), Placement)
    for (size, lr, placement), seed in product(arms, range(_SEEDS)):
        yield replace(
            trial,
            seed=seed,
            lr=lr,
            optimizer=replace(trial.optimizer, lr=lr),
            norm=replace(trial.norm, placement=placement),
            training=replace(trial.training, batch_size=8 * size),
        )


def _result(trial: Trial, points: int) -> TrialResult:
    draw = random.Random(trial.key)
    steps = [round(i * trial.steps / (points - 1)) for i in range(points)]
    curves = {key: [(step, draw.random() * step / trial.steps) for step in steps] for key in CURVES}
    metrics = summarize_curve(curves[names.VAL_ACC], targets=trial.targets, batch_size=trial.training.batch_size)
    metrics |= {names.TEST_ACC: curves[names.VAL_ACC][-1][1], names.TEST_LOSS: 1.0}
    now = time.time()
    return TrialResult(trial.key, trial.params, "finished", metrics=metrics, curves=curves, started=now, ended=now)
