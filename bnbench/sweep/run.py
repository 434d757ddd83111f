"""Runs a sweep from its overrides to its report; what the command line and `bnbench.run` both stand on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, flag_override

from bnbench.config import Config, Trial
from bnbench.data import DATASETS
from bnbench.results import TrialResult
from bnbench.sweep.calibrate import calibrated
from bnbench.sweep.combine import combined
from bnbench.sweep.compose import compose, to_config
from bnbench.sweep.describe import count, describe_plan, describe_question, varied_keys
from bnbench.sweep.failure import SweepFailedError
from bnbench.sweep.grid import expand
from bnbench.sweep.job import Job, spool_folder
from bnbench.sweep.plan import DataLoader, Pack, Plan, Planned, make_plan, pack_seconds
from bnbench.sweep.stand_in import stand_in
from bnbench.tracking import NothingRecordedError, TrackingError
from bnbench.tracking.address import Address

if TYPE_CHECKING:
    from bnbench.sweep.published import Sweep
    from bnbench.tracking.store import Store

__all__ = ["HydraSweep", "run_sweep"]


@dataclass(frozen=True)
class HydraSweep:
    """What Hydra hands its sweeper."""

    config: DictConfig
    context: HydraContext
    task_function: TaskFunction

    def compose(self, overrides: list[str]) -> DictConfig:
        """One job's configuration, without Hydra's own node."""
        config: DictConfig = self.context.config_loader.load_configuration(
            config_name=self.config.hydra.job.config_name, overrides=overrides, run_mode=RunMode.RUN
        )
        return _without_hydra(config)

    def is_group(self, key: str) -> bool:
        """Whether a key chooses a file of a config group."""
        return "." not in key and bool(self.context.config_loader.get_group_options(key))

    def launch(self, overrides: list[list[str]], folder: Path) -> Sequence[JobReturn]:
        """Run one job for each list of overrides, on the configured launcher."""
        config = self.config.copy()
        with flag_override(config, ["readonly", "struct"], False):
            config.hydra.sweep.dir = str(folder)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task_function, config=config
        )
        return launcher.launch(overrides, initial_job_idx=0)

    @property
    def workers(self) -> int:
        """Jobs that the launcher runs at once, as far as its settings tell."""
        from joblib import effective_n_jobs

        return int(effective_n_jobs(self.config.hydra.launcher.get("n_jobs", 1)))


def run_sweep(
    hydra: HydraSweep,
    params: Mapping[str, Any],
    arms: Mapping[str, Any],
    command_line: Sequence[str],
    *,
    say: Callable[[str], None] = print,
) -> Sweep | None:
    """Plan, train, record and report.

    Args:
        hydra: The composed configuration and the way to compose more.
        params: `hydra.sweeper.params`.
        arms: `hydra.sweeper.arms`.
        command_line: The overrides as typed.
        say: Where lines for the user go.

    Returns:
        The `Sweep`; None after `plan_only=true`.

    Raises:
        ConfigError: If anything is wrong with the configuration of any trial; before anything is written.
        SweepFailedError: If trials failed; after the report.
    """
    config = to_config(_without_hydra(hydra.config))
    files = _files(command_line)
    name = config.sweep.name or "+".join(file.partition("=")[2] for file in files) or "trial"
    asked = combined(config.sweep, command_line, files, lambda file: to_config(hydra.compose([file])).sweep)
    config = replace(config, sweep=asked)
    runs_dir = Path(config.runs_dir).expanduser().absolute()
    instead = stand_in(config, command_line, runs_dir / "cache")
    chosen = [] if instead is None else [f"data={instead[0]}"]
    if instead is not None:
        config = replace(config, data=to_config(hydra.compose(chosen)).data)
        say(instead[1])
    say(describe_question(name, config))
    grid = expand(
        params, arms, [*command_line, *chosen], is_group=hydra.is_group, tuning_seeds=config.sweep.tuning_seeds
    )
    points = list(compose(grid, hydra.compose, is_group=hydra.is_group))
    Address.resolve(config.tracking.uri, runs_dir)  # a wrong address is found before data are loaded

    stores: list[Store] = []

    def finished() -> list[str]:
        try:
            stores.append(_open_store(config, runs_dir))
        except NothingRecordedError:  # only planning, where nothing was ever run
            return []
        return list(stores[0].finished()) if config.resume else []

    plan = make_plan(points, DataLoader(runs_dir / "cache"), finished)
    workers = hydra.workers
    plan = plan.repacked({}, workers) if config.plan_only else calibrated(plan, runs_dir, workers, say)
    workers = min(workers, max(1, len(plan.packs)))
    say(describe_plan(plan, grid.axes, workers))
    if config.plan_only:
        return None
    meta = _meta(config, name, plan, grid.axes, workers, command_line)
    if instead is not None:
        meta["notes"].append(f"{instead[1]}.")
    return _execute(hydra, meta, plan, stores[0], runs_dir, say)


def _open_store(config: Config, runs_dir: Path) -> Store:
    from bnbench.tracking.store import Store

    experiment = config.tracking.experiment
    return Store.open(config.tracking.uri, runs_dir=runs_dir, experiment=experiment, create=not config.plan_only)


def _execute(
    hydra: HydraSweep,
    meta: dict[str, Any],
    plan: Plan,
    store: Store,
    runs_dir: Path,
    say: Callable[[str], None],
) -> Sweep:
    from bnbench.sweep.progress import SweepProgress
    from bnbench.sweep.report import publish, sweep_folder
    from bnbench.tracking.drain import Drain

    folder = sweep_folder(runs_dir, meta["name"], meta["id"])
    run_id = store.start_sweep(meta, [_planned(p) for p in plan.planned])
    jobs = [_job(number, pack, runs_dir, folder) for number, pack in enumerate(plan.packs)]
    timed = [(job, pack_seconds(pack), pack[0].trial.steps) for job, pack in zip(jobs, plan.packs, strict=True)]
    trained = {key for job in jobs for key in job.keys}
    failed: list[TrialResult] = []
    started = time.monotonic()
    outcome: Literal["FINISHED", "FAILED", "KILLED"] = "KILLED"
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(SweepProgress(timed, sum(len(job.keys) for job in jobs)))

            def on_result(result: TrialResult) -> None:
                progress.add(result)
                if result.status == "failed" and result.key in trained:
                    failed.append(result)

            stack.enter_context(Drain(store, spool_folder(runs_dir), run_id, on_result=on_result))
            store.record([_undefined(p) for p in plan.undefined], run_id)
            if jobs:
                folder.mkdir(parents=True, exist_ok=True)
                overrides = [[*pack[0].overrides, job.override] for job, pack in zip(jobs, plan.packs, strict=True)]
                for job_return in hydra.launch(overrides, folder):
                    with redirect_stderr(StringIO()):  # Hydra would print the whole pack
                        _ = job_return.return_value  # raises what the job raised
        lost = trained - store.finished().keys() - {result.key for result in failed}
        outcome = "FAILED" if failed or lost else "FINISHED"
    finally:
        if outcome == "KILLED":
            with suppress(TrackingError):  # what ended the training matters more
                store.finish_sweep(run_id, status=outcome, metrics={}, artifacts=[], note="interrupted")
    sweep = publish(store, run_id, folder, outcome, time.monotonic() - started, say)
    if failed:
        lines = {f"{result.params}: {(result.reason or '').splitlines()[-1]}": None for result in failed}
        raise SweepFailedError(f"{count(len(failed), 'trial')} failed:\n" + "\n".join(lines))
    if lost:
        raise SweepFailedError(f"{count(len(lost), 'trial')} left no result; the same command trains what is missing")
    return sweep


def _job(number: int, pack: Pack, runs_dir: Path, folder: Path) -> Job:
    return Job(number, [p.trial.key for p in pack], [p.values for p in pack], str(runs_dir), str(folder))


def _planned(planned: Planned) -> dict[str, Any]:
    entry = {"key": planned.trial.key, "params": planned.trial.params}
    if planned.undefined is not None:
        entry |= {"status": "undefined", "reason": planned.undefined}
    return entry


def _undefined(planned: Planned) -> TrialResult:
    now = time.time()
    return TrialResult(
        key=planned.trial.key,
        params=planned.trial.params,
        status="undefined",
        reason=planned.undefined,
        started=now,
        ended=now,
    )


def _meta(
    config: Config, name: str, plan: Plan, axes: Sequence[str], workers: int, command_line: Sequence[str]
) -> dict[str, Any]:
    from bnbench.tracking import environment

    trials = [p.trial for p in plan.planned]
    data: dict[str, list[Trial]] = {}
    for trial in trials:
        data.setdefault(trial.data.name, []).append(trial)
    return {
        "name": name,
        "id": uuid.uuid4().hex[:8],
        "question": config.sweep.question,
        "command": ["python", "-m", "bnbench", *command_line],
        "config": OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True),
        "compare": list(config.sweep.compare),
        "contrasts": list(config.sweep.contrasts),
        "axis": config.sweep.axis,
        "tuning_seeds": list(config.sweep.tuning_seeds),
        "varied": varied_keys(trials, axes),
        "data": [_data(name, using) for name, using in data.items()],
        "versions": environment.versions(),
        "git": environment.git_state(Path.cwd()),
        "hardware": environment.hardware(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": None,
        "plan": {
            "trials": len(trials),
            "duplicates": plan.duplicates,
            "reused": len(plan.finished),
            "undefined": len(plan.undefined),
            "packs": len(plan.packs),
            "workers": workers,
        },
        "notes": [],
    }


def _data(name: str, trials: Sequence[Trial]) -> dict[str, Any]:
    info = DATASETS[name]
    train = {trial.data.train_examples or info.train for trial in trials}
    return {
        "name": name,
        "source": info.summary,
        "checksum": trials[-1].data_checksum,
        "train": max(train),
        "val": info.val,
        "test": info.test,
    }


def _files(command_line: Sequence[str]) -> list[str]:
    """The sweep and experiment files that were chosen, each as its override."""
    chosen = [text.partition("=")[::2] for text in command_line if text.startswith(("+sweep=", "+experiment="))]
    return [f"{key}={name}" for key, names in chosen for name in names.replace(" ", "").strip("[]").split(",") if name]


def _without_hydra(config: DictConfig) -> DictConfig:
    config = config.copy()
    with flag_override(config, ["readonly", "struct"], False):
        config.pop("hydra", None)
    return config
