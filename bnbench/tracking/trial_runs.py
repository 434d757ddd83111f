"""What the MLflow run of a trial holds."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_RUN_NOTE

from bnbench.record.names import STATUSES, TEST_ACC, Tag, is_curve
from bnbench.record.redaction import redacted
from bnbench.record.results import TrialResult
from bnbench.tracking.process_identity import this_process
from bnbench.tracking.sweep_tags import TAG_LENGTH, Parent
from bnbench.tracking.tags import DIVERGED_STEP, PROCESS

_DIGEST_LENGTH = 36  # the most MLflow keeps
_TRACEBACK = "traceback.txt"
_NORM = ("norm", "norm.placement")


@dataclass(frozen=True)
class TrialRun:
    """A finished run, ready to be written.

    Attributes:
        texts: Files to keep with it, by name.
        start_time: Unix time in milliseconds.
        end_time: Likewise.
        status: MLflow's: FINISHED, or FAILED where the trial is to be tried again.
    """

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[Metric]
    dataset: DatasetInput | None
    texts: dict[str, str]
    start_time: int
    end_time: int
    status: str


def trial_run(result: TrialResult, parent: Parent | None) -> TrialRun:
    """The run of a result; `data_of` reads its data back.

    Args:
        result: What the trial left behind.
        parent: The sweep that trained it, or None.

    Raises:
        ValueError: If the result cannot be read back as it is: a number is not finite, or a metric's name
            is taken by a curve.
    """
    _check(result)
    started, ended = run_time(result)
    if result.reason:
        result = replace(result, reason=redacted(result.reason))
    return TrialRun(
        name=_name(result.params),
        tags=_tags(result, parent),
        params={key: str(value) for key, value in result.params.items()},
        metrics=_metrics(result, started, ended),
        dataset=_dataset(result.data) if result.data else None,
        texts={_TRACEBACK: result.reason} if result.status == "failed" and result.reason else {},
        start_time=started,
        end_time=ended,
        status="FAILED" if result.status == "failed" else "FINISHED",
    )


def run_time(result: TrialResult) -> tuple[int, int]:
    """When the trial's run starts and ends, in milliseconds."""
    started = result.started or time.time()
    return _milliseconds(started), _milliseconds(max(result.ended, started))


def _check(result: TrialResult) -> None:
    if result.status not in STATUSES:
        raise ValueError(f"trial {result.key} has status={result.status}; it may have {', '.join(STATUSES)}")
    for keys, are_curves in ((result.curves, True), (result.metrics, False)):
        for key in keys:
            if is_curve(key) != are_curves:
                kind = "a curve" if is_curve(key) else "a final metric"
                raise ValueError(f"trial {result.key} has {key} in the wrong place; it is {kind}")
    values = [*result.metrics.items()]
    values += [(key, value) for key, points in result.curves.items() for _, value in points]
    for key, value in values:
        if not math.isfinite(value):
            raise ValueError(f"trial {result.key} has {key}={value}; only finite numbers are recorded")


def _metrics(result: TrialResult, started: int, ended: int) -> list[Metric]:
    """Curves with their times spread evenly over the training; finals at step 0, where the UI draws them as bars."""
    steps = int(result.params.get("training.steps", 0))
    milliseconds_per_step = (ended - started) / steps if steps else 0.0
    curves = [
        Metric(key, value, round(started + step * milliseconds_per_step), step)
        for key, points in result.curves.items()
        for step, value in points
    ]
    return curves + [Metric(key, value, ended, 0) for key, value in result.metrics.items()]


def _tags(result: TrialResult, parent: Parent | None) -> dict[str, str]:
    tags = {
        **(parent.tags if parent else {}),
        **result.tags,
        Tag.KIND: "trial",
        Tag.KEY: result.key,
        Tag.STATUS: result.status,
        Tag.NORM: _words(result.params, _NORM),
        PROCESS: this_process(),
        MLFLOW_RUN_NOTE: _note(result),
    }
    if result.reason:
        tags[Tag.REASON] = _end_of(result.reason)
    if result.diverged_step is not None:
        tags[DIVERGED_STEP] = str(result.diverged_step)
    if "checksum" in result.data:
        tags[Tag.DATA_CHECKSUM] = result.data["checksum"]
    if parent and result.key in parent.arms:
        tags[Tag.ARM] = parent.arms[result.key]
    return tags


def _name(params: dict[str, Any]) -> str:
    """Such as `fc batch before lr=0.1 batch_size=64 seed=3`."""
    words = [_words(params, ("model", *_NORM))]
    for key in ("optimizer.lr", "training.batch_size", "seed"):
        if key in params:
            words.append(f"{key.rpartition('.')[2]}={params[key]}")
    return " ".join(words)


def _words(params: dict[str, Any], keys: Sequence[str]) -> str:
    return " ".join(str(params[key]) for key in keys if key in params)


def _note(result: TrialResult) -> str:
    outcome = f"**{result.status}**"
    if result.diverged_step is not None:
        outcome += f" at step {result.diverged_step:,}"
    if result.reason:
        outcome += f": {result.reason.splitlines()[-1]}"
    if TEST_ACC in result.metrics:
        outcome += f"; test accuracy {result.metrics[TEST_ACC]:.4f}"
    return f"{_name(result.params)}\n\n{outcome}"


def _end_of(reason: str) -> str:
    """As much as a tag may hold; a traceback says what happened at its end."""
    return reason if len(reason) <= TAG_LENGTH else "…" + reason[1 - TAG_LENGTH :]


def _dataset(data: dict[str, Any]) -> DatasetInput:
    profile = {key: data[key] for key in ("train", "val", "test", "largest_class") if key in data}
    dataset = Dataset(
        name=data["name"],
        digest=data["checksum"][:_DIGEST_LENGTH],
        source_type="bnbench",
        source=json.dumps({"source": data["source"], "sha256": data["checksum"]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


def data_of(run: Run) -> dict[str, Any]:
    """`TrialResult.data` as its run holds it; empty where it has none."""
    for dataset_input in run.inputs.dataset_inputs if run.inputs else ():
        source, profile = json.loads(dataset_input.dataset.source), json.loads(dataset_input.dataset.profile or "{}")
        return {"name": dataset_input.dataset.name, "source": source["source"], "checksum": source["sha256"], **profile}
    return {}


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
