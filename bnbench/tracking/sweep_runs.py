"""Writes and finds the parent run of a sweep, which lists the sweep's trials."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from bnbench.record.names import Tag
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.sweep_record import CheckRecord, FoundOut, ListedSweep, Place, SweepRecord, SweepSummary
from bnbench.tracking.connect import Connection
from bnbench.tracking.errors import TrackingError
from bnbench.tracking.files import read_json, write_paths, write_text
from bnbench.tracking.process_identity import this_process, was_killed
from bnbench.tracking.sweep_tags import TAG_LENGTH, Parent, sweep_tags
from bnbench.tracking.tags import PROCESS, TRIALS

PLAN = "sweep.json"
"""The file of a sweep's run that lists its trials."""

_PAGE = 1000
_LISTED = 10  # sweeps named in an error


def start_sweep(
    connection: Connection,
    record: SweepRecord,
    trials: Sequence[PlannedTrial],
    *,
    tags: Mapping[str, str] | None = None,
    start_time: int | None = None,
) -> str:
    """The id of the sweep's run, with its description and its planned trials in `sweep.json`.

    Args:
        connection: The open store.
        record: The sweep's description, which is recorded as it was planned.
        trials: In the planned order.
        tags: What its run has beside what follows from these, or instead.
        start_time: In milliseconds, if not now.

    Raises:
        ValueError: If a trial stands in the plan twice.
    """
    _check_once(record, trials)
    run = connection.client.create_run(
        connection.experiment_id,
        start_time=start_time,
        run_name=record.title,
        tags={**_tags(record, trials), **(tags or {})},
    )
    run_id = str(run.info.run_id)
    _write_plan(connection, run_id, record, trials)
    return run_id


def extend_sweep(connection: Connection, run_id: str, record: SweepRecord, trials: Sequence[PlannedTrial]) -> None:
    """Record a sweep's plan anew, of which there was less before; arguments as of `start_sweep`.

    Raises:
        ValueError: If a trial stands in the plan twice.
    """
    _check_once(record, trials)
    _write_plan(connection, run_id, record, trials)
    for tag, value in _counted(record, trials).items():
        connection.client.set_tag(run_id, tag, value)


def finish_sweep(
    connection: Connection,
    run_id: str,
    *,
    status: str,
    metrics: Mapping[str, float],
    artifacts: list[Path],
    note: str,
    headlines: Sequence[str],
) -> None:
    """End a sweep's run: its numbers, its files (folders with all they hold), its description in Markdown.

    Called again, it adds to the run, and the time of its end stays.

    Raises:
        ValueError: If a number is not finite.
    """
    for key, value in metrics.items():
        if not math.isfinite(value):
            raise ValueError(f"the sweep's {key}={value} is not finite")
    client = connection.client
    now = round(time.time() * 1000)
    client.log_batch(run_id, metrics=[Metric(key, value, now, 0) for key, value in metrics.items()], synchronous=True)
    client.set_tag(run_id, MLFLOW_RUN_NOTE, note[:TAG_LENGTH])
    client.set_tag(run_id, Tag.HEADLINES, json.dumps([*headlines]))
    write_paths(connection, run_id, artifacts)
    client.set_terminated(run_id, status, end_time=client.get_run(run_id).info.end_time)


def note_check(connection: Connection, run_id: str, tag: str, result: CheckRecord) -> None:
    """Keep with a sweep what came of training its trials again; the newest check of a kind stands.

    Args:
        connection: The open store.
        run_id: The sweep's.
        tag: `Tag.VERIFIED` or `Tag.REPRODUCED`.
        result: What came of it.
    """
    connection.client.set_tag(run_id, tag, json.dumps(asdict(result), allow_nan=False))


def found_out(run: Run) -> FoundOut:
    """What a sweep's run says of it: how long it took, and what `note_check` kept with it."""
    checks = (run.data.tags.get(tag) for tag in (Tag.VERIFIED, Tag.REPRODUCED))
    verified, reproduced = (None if text is None else CheckRecord.from_json(json.loads(text)) for text in checks)
    ended = run.info.end_time
    seconds = None if ended is None else (ended - run.info.start_time) / 1000
    return FoundOut(wall_seconds=seconds, verified=verified, reproduced=reproduced)


def close_killed(connection: Connection) -> int:
    """End the runs that killed processes of this host left RUNNING, and return how many."""
    running = all_runs(connection, f"attributes.status = 'RUNNING' AND tags.`{PROCESS}` != ''")
    killed = [run.info.run_id for run in running if was_killed(run.data.tags[PROCESS])]
    for run_id in killed:
        connection.client.set_terminated(run_id, "KILLED")
    return len(killed)


def list_sweeps(connection: Connection) -> list[ListedSweep]:
    """Every sweep of the experiment, the newest first."""
    return [_listed(run) for run in _sweep_runs(connection)]


def _listed(run: Run) -> ListedSweep:
    tags = run.data.tags
    headlines = json.loads(tags.get(Tag.HEADLINES, "[]"))
    return ListedSweep(tags[Tag.SWEEP], str(run.info.run_id), _summary(run), int(tags[TRIALS]), headlines)


def _summary(run: Run) -> SweepSummary:
    tags = run.data.tags
    return SweepSummary(
        id=tags[Tag.SWEEP_ID],
        created=datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat(timespec="seconds"),
        status=run.info.status,
        seeds=json.loads(tags.get(Tag.SEEDS, "[]")),
        claims={key.removeprefix(Tag.CLAIM): text for key, text in tags.items() if key.startswith(Tag.CLAIM)},
    )


def find_sweep(connection: Connection, sweep: str) -> Run:
    """The newest sweep's run of those that `sweep` names.

    Args:
        connection: The open store.
        sweep: A run id, `<name>-<id>`, a name, or "latest".

    Raises:
        TrackingError: If there is none.
    """
    runs = _sweep_runs(connection)
    for run in runs:
        if sweep in {"latest", run.info.run_id, run.info.run_name, run.data.tags[Tag.SWEEP]}:
            return run
    titles = ", ".join(run.info.run_name for run in runs[:_LISTED]) or "none"
    more = f" and {len(runs) - _LISTED} older ones" if len(runs) > _LISTED else ""
    raise TrackingError(
        f"sweep={sweep} is not in {connection.address.shown}; there are: {titles}{more}; "
        "give one of these, its name alone for its newest, or latest"
    )


def read_plan(connection: Connection, run: Run) -> tuple[SweepRecord, list[PlannedTrial]]:
    """What `start_sweep` was given: the description and the planned trials.

    Raises:
        TrackingError: If the file is not where the store says.
    """
    plan = read_json(connection, run, PLAN)
    record = SweepRecord.from_json(plan["meta"])
    return replace(record, place=_place(connection, run.info.run_id)), [*map(PlannedTrial.from_json, plan["trials"])]


def _place(connection: Connection, run_id: str) -> Place:
    """Where a sweep is tracked, which is not where it was once its folder has been moved."""
    return Place(connection.address.shown, run_id, connection.experiment_id)


def read_parent(connection: Connection, run_id: str) -> Parent:
    """A sweep's run as the runs of its trials need it; little more than its id where it was deleted."""
    plan = read_plan_if_kept(connection, run_id)
    return Parent(run_id, {Tag.PARENT: run_id}, {}) if plan is None else Parent.of(run_id, *plan)


def read_plan_if_kept(connection: Connection, run_id: str) -> tuple[SweepRecord, list[PlannedTrial]] | None:
    """`read_plan` of a run id; None where the run was deleted, by `mlflow gc` say, or its files are gone."""
    try:
        return read_plan(connection, connection.client.get_run(run_id))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
    except TrackingError:  # its files are gone
        pass
    return None


def _sweep_runs(connection: Connection) -> list[Run]:
    return all_runs(connection, f"tags.`{Tag.KIND}` = 'sweep'")


def all_runs(connection: Connection, wanted: str) -> list[Run]:
    """The experiment's that a filter selects, the newest first."""
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = connection.client.search_runs(
            [connection.experiment_id],
            filter_string=wanted,
            order_by=["attributes.start_time DESC"],
            max_results=_PAGE,
            page_token=token,
        )
        runs.extend(page)
        token = page.token
        if not token:
            return runs


def _check_once(record: SweepRecord, trials: Sequence[PlannedTrial]) -> None:
    keys = [trial.key for trial in trials]
    if len(set(keys)) < len(keys):
        raise ValueError(f"sweep {record.asked.name} lists {len(keys) - len(set(keys))} of its trials twice")


def _write_plan(connection: Connection, run_id: str, record: SweepRecord, trials: Sequence[PlannedTrial]) -> None:
    plan = {
        "meta": {**record.planned_json(), **asdict(_place(connection, run_id))},
        "trials": [trial.to_json() for trial in trials],
    }
    write_text(connection, run_id, PLAN, json.dumps(plan, allow_nan=False))


def _counted(record: SweepRecord, trials: Sequence[PlannedTrial]) -> dict[str, str]:
    """The tags that count the trials."""
    seeds = {trial.seed for trial in trials} - {*record.asked.tuning_seeds}
    return {TRIALS: str(len(trials)), Tag.SEEDS: json.dumps(sorted(seeds))}


def _tags(record: SweepRecord, trials: Sequence[PlannedTrial]) -> dict[str, str]:
    return sweep_tags(record) | {
        Tag.KIND: "sweep",
        **_counted(record, trials),
        **{f"{Tag.CLAIM}{id}": claim.hash for id, claim in record.asked.claims.items()},
        PROCESS: this_process(),
        MLFLOW_RUN_NOTE: f"{record.asked.question}\n\n```\n{shlex.join(record.asked.command)}\n```"[:TAG_LENGTH],
    }
