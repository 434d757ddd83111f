"""Writes and finds timings of lone trials: a run for each call of `python -m bnbench time`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace

from mlflow.entities import Metric

from bnbench.packing.paces import step_shape
from bnbench.record.names import Tag, seconds_per_step
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.sweep_record import TimingRecord
from bnbench.tracking.connect import Connection
from bnbench.tracking.files import read_json, write_text
from bnbench.tracking.process_identity import this_process
from bnbench.tracking.sweep_runs import all_runs
from bnbench.tracking.tags import PROCESS

_TIMING = "timing.json"
_NOT_ALLOWED = re.compile(r"[^\w./ -]+")  # in MLflow's names of metrics


def record_timing(connection: Connection, timing: TimingRecord) -> str:
    """The id of the new run: all of it in `timing.json`, and each arm's seconds by round as a metric to look at.

    Args:
        connection: The open store.
        timing: What was measured.
    """
    client = connection.client
    tags = {Tag.KIND: "timing", Tag.SWEEP: timing.name, PROCESS: this_process()}
    run = client.create_run(connection.experiment_id, run_name=f"time {timing.name}", tags=tags)
    run_id = str(run.info.run_id)
    now = round(time.time() * 1000)
    metrics = [
        Metric(seconds_per_step(_NOT_ALLOWED.sub(" ", arm.label)), seconds, now, number)
        for arm in timing.arms
        for number, seconds in enumerate(arm.seconds_per_step, start=1)
    ]
    for start in range(0, len(metrics), 1000):  # as many as a server takes at once
        client.log_batch(run_id, metrics=metrics[start : start + 1000], synchronous=True)
    write_text(connection, run_id, _TIMING, json.dumps(timing.to_json(), allow_nan=False))
    client.set_terminated(run_id, "FINISHED")
    return run_id


def newest_timing(connection: Connection, planned: Sequence[PlannedTrial]) -> TimingRecord | None:
    """The timing that covers most of a sweep's trials, the newest of such; None if none covers any.

    Returns:
        What was recorded, its arms without those that are not the sweep's, each with the `keys` of its trials.
    """
    keys: dict[str, list[str]] = {}
    for trial in planned:
        keys.setdefault(step_shape(trial.params), []).append(trial.key)
    best: TimingRecord | None = None
    for run in all_runs(connection, f"tags.`{Tag.KIND}` = 'timing' AND attributes.status = 'FINISHED'"):
        timing = TimingRecord.from_json(read_json(connection, run, _TIMING))
        arms_of_sweep = [replace(arm, keys=keys[arm.shape]) for arm in timing.arms if arm.shape in keys]
        if len(arms_of_sweep) > len(best.arms if best else []):
            best = replace(timing, arms=arms_of_sweep)
        if best and len(best.arms) == len(keys):
            break
    return best
