"""Runs a sweep from its overrides to its report; what the command line and `bnbench.run` both stand on."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from bnbench.claims.history import claims_on, earlier_sweeps
from bnbench.config import Config, LogModel, Trial
from bnbench.config.workspace import Workspace
from bnbench.data import dataset_info
from bnbench.record import names
from bnbench.record.checkpoints import begun_packs
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, ClaimRecord, DataRecord, Environment, PlanCounts, SweepRecord
from bnbench.sweep.planning.compared_levels import check_comparison, describe_levels, settled
from bnbench.sweep.planning.describe import arm_keys, arm_label, count, curve_images, describe_plan, varied_keys
from bnbench.sweep.planning.file_trials import missing_from, trials_of_file
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.plan import DataLoader, Plan, Planned, PlannedPack, make_plan
from bnbench.sweep.planning.remarks import own_remarks
from bnbench.sweep.planning.request import sweep_request
from bnbench.sweep.running.interruption import briefly
from bnbench.sweep.running.job import Job
from bnbench.sweep.running.launch import launch_packs
from bnbench.sweep.running.pack_widths import calibrated
from bnbench.sweep.running.place import describe_place, ready_command
from bnbench.tracking import NothingRecordedError, Spool, this_process

if TYPE_CHECKING:
    from bnbench.sweep.running.published import Sweep
    from bnbench.tracking import Store

_NOT_ABOUT_TRIALS = ("+sweep=", "sweep.size=", "sweep.parts=", "runs_dir=", "tracking.", "resume=", "plan_only=")
"""How the words begin that do not change the trials of a sweep's file."""


def run_sweep(
    hydra: HydraSweep,
    command_line: Sequence[str],
    *,
    say: Callable[[str], None] = print,
) -> Sweep | None:
    """Plan, train, record and report.

    Args:
        hydra: The composed configuration and the way to compose more.
        command_line: The overrides as typed.
        say: Where lines for the user go.

    Returns:
        The `Sweep`; None after `plan_only=true`.

    Raises:
        ConfigError: If anything is wrong with the configuration of any trial; before anything is written.
        SweepFailedError: If trials failed; after the report.
    """
    request = sweep_request(hydra, command_line, say)
    config, name, grid = request.config, request.name, request.grid
    workspace = Workspace.of(config)  # a wrong address is found before data are loaded
    claims = claims_on(name, hydra.conf_dirs)
    if place := describe_place(config):
        say(place)

    stores: list[Store] = []

    def finished() -> list[str]:
        from bnbench.tracking import Store

        try:
            stores.append(Store.open(workspace, create=not config.plan_only))
        except NothingRecordedError:  # only planning, where nothing was ever run
            return []
        return list(stores[0].finished()) if config.resume else []

    begun = begun_packs(workspace.checkpoints) if config.resume else []
    check = partial(check_comparison, config, grid)
    plan = make_plan(request.points, DataLoader(workspace.cache), finished, begun, check)
    config = settled(config, grid, plan.planned)
    workers = hydra.workers
    plan = plan.repacked({}, workers) if config.plan_only else calibrated(plan, workspace.cache, workers, say)
    workers = min(workers, max(1, len(plan.packs)))
    remarks = own_remarks(plan)
    say(describe_levels(config, grid, plan.planned))
    say(describe_plan(plan, grid.axes, workers, remarks))
    if config.plan_only:
        return None
    record = new_record(config, name, plan, grid.axes, workers, command_line)
    asked = replace(
        record.asked,
        notes=[*request.notes, *(f"{line}." for line in remarks)],
        claims=_judged_here(claims, hydra, config, plan, command_line),
        earlier=earlier_sweeps(name, stores[0].sweeps()) if plan.finished else [],
    )
    return execute(hydra, config, replace(record, asked=asked), plan, stores[0], say)


def _judged_here(
    claims: Mapping[str, ClaimRecord], hydra: HydraSweep, config: Config, plan: Plan, command_line: Sequence[str]
) -> dict[str, ClaimRecord]:
    """The claims with how many trials of their sweep's file are `left_out` here: one is judged only where none is."""
    left_out: dict[str, int] = Counter()
    as_in_file = all(word.startswith(_NOT_ABOUT_TRIALS) for word in command_line)
    for sweep in {claim.text["sweep"] for claim in claims.values()} if not as_in_file else ():
        words = [f"+sweep={sweep}", f"sweep.size={config.sweep.size}"]
        file = trials_of_file(hydra.typed_instead(words), words)
        left_out[sweep] = missing_from(file, (p.trial for p in plan.planned))
    return {id: replace(claim, left_out=left_out[claim.text["sweep"]]) for id, claim in claims.items()}


def execute(
    hydra: HydraSweep,
    config: Config,
    record: SweepRecord,
    plan: Plan,
    store: Store,
    say: Callable[[str], None],
) -> Sweep:
    """Train, record and report what is planned.

    Args:
        hydra: Launches the packs.
        config: Of the sweep.
        record: Its description.
        plan: What to train.
        store: Where it is recorded; in whose workspace its files are written.
        say: Where lines for the user go.

    Raises:
        SweepFailedError: If trials failed; after the report.
    """
    from bnbench.sweep.running.best_model import log_best
    from bnbench.sweep.running.finish import publish
    from bnbench.sweep.running.outcome import check_outcome
    from bnbench.sweep.running.progress import SweepProgress

    workspace, spool = store.workspace, Spool.made_for(store.workspace)
    folder = workspace.sweep_folder(record.asked.name, record.asked.id)
    spool.check_writable()
    run_id = store.start_sweep(record, planned_trials(plan, record.asked.arm_keys))
    place = {
        "cache": str(workspace.cache),
        "checkpoints": str(workspace.checkpoints),
        "sweep_dir": str(folder),
        "spool": str(spool.folder),
        "run_id": run_id,
    }
    jobs = [_job(number, pack, place, anew=not config.resume) for number, pack in enumerate(plan.packs)]
    timed = [(job, plan.pack_seconds(pack), pack[0].trial.steps) for job, pack in zip(jobs, plan.packs, strict=True)]
    trained = {key for job in jobs for key in job.keys}
    started = time.monotonic()
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(SweepProgress(timed, len(trained)))
            sync = ready_command("sync", config)
            drain = stack.enter_context(store.drain(on_result=progress.add, sync=sync))
            if plan.undefined:
                spool.write([_undefined(p, run_id) for p in plan.undefined])

            def finished() -> set[str]:
                drain.look()
                return drain.seen

            folder.mkdir(parents=True, exist_ok=True)
            todo = [(job, pack[0].overrides) for job, pack in zip(jobs, plan.packs, strict=True)]
            launch_packs(todo, lambda overrides: hydra.launch(overrides, folder), finished, say)
    except BaseException:
        briefly(lambda: store.finish_sweep(run_id, status="KILLED", metrics={}, artifacts=[], note="interrupted"))
        raise
    if progress.tried_again:
        trials, [first, *others] = count(len(progress.tried_again), "trial"), dict.fromkeys(progress.tried_again)
        more = f" (and {count(len(others), 'other reason')})" if others else ""
        say(f"{trials} ended in a later attempt, because their pack failed before: {first}{more}")
    sweep = publish(store, run_id, folder, trained, time.monotonic() - started, config, say)
    if config.tracking.log_model == LogModel.best:
        log_best(store, run_id, config.data.root, say)
    check_outcome(sweep.table, trained)
    return sweep


def _job(number: int, pack: PlannedPack, place: Mapping[str, str], *, anew: bool) -> Job:
    keys, values = [p.trial.key for p in pack], [p.values for p in pack]
    alone = pack[0].why_alone is not None
    return Job(number, keys, values, process=this_process(), anew=anew, alone=alone, **place)


def planned_trials(plan: Plan, arm_keys: Sequence[str]) -> list[PlannedTrial]:
    """The plan's trials as they are recorded, each with its arm in words."""
    return [
        PlannedTrial(
            p.trial.key, p.trial.params, arm_label(p.trial, arm_keys), p.trial.key in plan.finished, p.undefined
        )
        for p in plan.planned
    ]


def _undefined(planned: Planned, run_id: str) -> TrialResult:
    now = time.time()
    return TrialResult(
        key=planned.trial.key,
        params=planned.trial.params,
        status="undefined",
        reason=planned.undefined,
        tags={names.Tag.PARENT: run_id},
        started=now,
        ended=now,
    )


def new_record(
    config: Config, name: str, plan: Plan, axes: Sequence[str], workers: int, command_line: Sequence[str]
) -> SweepRecord:
    """A sweep's description, before it is trained."""
    from bnbench.config import environment

    trials = [p.trial for p in plan.planned]
    varied = varied_keys(trials, axes)
    data: dict[str, list[Trial]] = {}
    for trial in trials:
        data.setdefault(trial.data.name, []).append(trial)
    container = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    assert isinstance(container, dict)
    return SweepRecord(
        Asked(
            name=name,
            id=uuid.uuid4().hex[:8],
            question=config.sweep.question,
            command=["python", "-m", "bnbench", *command_line],
            config={str(key): value for key, value in container.items()},
            compare=list(config.sweep.compare),
            contrasts=list(config.sweep.contrasts),
            axis=config.sweep.axis,
            tuning_seeds=list(config.sweep.tuning_seeds),
            varied=varied,
            arm_keys=arm_keys(trials, varied),
            data=[_data(name, using) for name, using in data.items()],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        Environment(environment.versions(), environment.git_state(Path.cwd()), environment.hardware()),
        PlanCounts(
            trials=len(trials),
            duplicates=plan.duplicates,
            reused=len(plan.finished),
            undefined=len(plan.undefined),
            packs=len(plan.packs),
            workers=workers,
        ),
    )


def _data(name: str, trials: Sequence[Trial]) -> DataRecord:
    info = dataset_info(trials[-1].data)
    train = {trial.data.train_examples or info.train for trial in trials}
    return DataRecord(
        name=name,
        source=info.summary,
        checksum=trials[-1].data_checksum,
        train=max(train),
        val=info.val,
        test=info.test,
        val_curve=curve_images(trials),
        largest_class=info.largest_class,
    )
