"""A sweep while it is trained: its run in the store, its packs, its results on their way, and its report at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from bnbench.config import Config, LogModel
from bnbench.record import names
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import PlanCounts, SweepRecord
from bnbench.sweep.planning.describe import count
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.new_record import planned_trials
from bnbench.sweep.planning.plan import Plan, Planned, PlannedPack
from bnbench.sweep.running.interruption import briefly
from bnbench.sweep.running.job import Job
from bnbench.sweep.running.launch import launch_packs
from bnbench.sweep.running.place import ready_command
from bnbench.sweep.running.sharing import train_shared
from bnbench.tracking import Spool, this_process

if TYPE_CHECKING:
    from bnbench.record.sweep_table import SweepTable
    from bnbench.sweep.running.published import Sweep
    from bnbench.tracking import Heartbeat, Leases, Store


class RunningSweep:
    """A sweep from its first pack to its report; a context manager that marks its run as killed if it breaks off.

    Args:
        hydra: Launches the packs.
        config: Of the sweep.
        record: Its description; how many trials it plans is counted as they are trained.
        store: Where it is recorded; in whose workspace its files are written.
        say: Where lines for the user go.

    Attributes:
        record: Its description so far.
        planned: Its trials so far, by their keys.
    """

    def __init__(
        self, hydra: HydraSweep, config: Config, record: SweepRecord, store: Store, say: Callable[[str], None]
    ) -> None:
        self.record = record
        self.planned: dict[str, PlannedTrial] = {}
        self._hydra = hydra
        self._config = config
        self._store = store
        self._say = say
        self._folder = store.workspace.sweep_folder(record.asked.name, record.asked.id)
        self._spool = Spool.made_for(store.workspace)
        self._run_id: str | None = None
        self._heartbeat: Heartbeat | None = None
        self._leases: Leases | None = None
        self._packs = 0
        self._trained: set[str] = set()
        self._started = time.monotonic()

    def __enter__(self) -> RunningSweep:
        self._spool.check_writable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run_id = self._run_id
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if error is not None and run_id is not None:
            briefly(
                lambda: self._store.finish_sweep(run_id, status="KILLED", metrics={}, artifacts=[], note="interrupted")
            )

    @property
    def workers(self) -> int:
        """How many packs are trained at once."""
        return self._hydra.workers

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._started

    def train(self, plan: Plan) -> None:
        """Add a plan's trials to the sweep, and train those of them that are not finished, nor trained by others.

        Raises:
            SweepFailedError: If workers are killed again and again.
            TrackingError: If the store does not do as asked.
            UndeliveredError: If results could not be recorded.
        """
        from bnbench.sweep.running.live_report import live_report

        run_id = self._list(plan)
        if plan.undefined:
            self._spool.write([_undefined(p, run_id) for p in plan.undefined])
        self._folder.mkdir(parents=True, exist_ok=True)
        with live_report(lambda: self._store.load(run_id), self._folder):
            self._share(plan, run_id)

    def _share(self, plan: Plan, run_id: str) -> None:
        """Train what no other sweep trains, and wait for the rest."""
        keys = {p.trial.key for pack in plan.packs for p in pack}
        leases = self._leases
        assert leases is not None, "its run is in the store"
        if not self._config.resume:  # trained anew, whatever others train
            leases.take(keys)
            self._train(plan, run_id)
            leases.give_back()
            return
        elsewhere = train_shared(
            keys,
            lambda mine: self._train(plan.only(mine, self.workers), run_id),
            leases,
            self._store.finished,
            self._say,
        )
        if elsewhere:
            self.planned |= {key: replace(self.planned[key], reused=True) for key in elsewhere}
            counts = self.record.plan
            counts = replace(counts, reused=counts.reused + len(elsewhere), packs=self._packs)
            self.record = replace(self.record, plan=counts)
            self._store.extend_sweep(run_id, self.record, [*self.planned.values()])

    def _train(self, plan: Plan, run_id: str) -> None:
        """Train packs until the store has their results."""
        from bnbench.sweep.running.progress import SweepProgress

        place = {
            "cache": str(self._store.workspace.cache),
            "checkpoints": str(self._store.workspace.checkpoints),
            "sweep_dir": str(self._folder),
            "spool": str(self._spool.folder),
            "run_id": run_id,
            "launcher": self._hydra.launcher,
        }
        jobs = [_job(n, pack, place, anew=not self._config.resume) for n, pack in enumerate(plan.packs, self._packs)]
        self._packs += len(jobs)
        packed = [*zip(jobs, plan.packs, strict=True)]
        timed = [(job, plan.pack_seconds(pack), pack[0].trial.steps) for job, pack in packed]
        trained = {key for job in jobs for key in job.keys}
        self._trained |= trained
        with ExitStack() as stack:
            progress = stack.enter_context(SweepProgress(timed, len(trained)))
            sync = ready_command("sync", self._config)
            drain = stack.enter_context(self._store.drain(on_result=progress.add, sync=sync))

            def finished() -> set[str]:
                drain.look()
                return drain.seen

            todo = [(job, pack[0].overrides) for job, pack in packed]
            launch_packs(
                todo,
                lambda overrides: self._hydra.launch(overrides, self._folder),
                finished,
                self._say,
                self._hydra.remedy,
            )
        if progress.tried_again:
            trials, [reason, *others] = count(len(progress.tried_again), "trial"), dict.fromkeys(progress.tried_again)
            more = f" (and {count(len(others), 'other reason')})" if others else ""
            self._say(f"{trials} ended in a later attempt, because their pack failed before: {reason}{more}")

    def look(self) -> SweepTable:
        """What the store holds of it so far."""
        assert self._run_id is not None, "nothing was planned"
        return self._store.load(self._run_id)

    def publish(self) -> Sweep:
        """Write the report, end the sweep's run, and say what was found.

        Raises:
            SweepFailedError: If trials failed; after the report.
        """
        from bnbench.sweep.running.best_model import log_best
        from bnbench.sweep.running.finish import publish
        from bnbench.sweep.running.outcome import check_outcome

        assert self._run_id is not None, "nothing was planned"
        sweep = publish(self._store, self._run_id, self._folder, self._trained, self.seconds, self._config, self._say)
        if self._config.tracking.log_model == LogModel.best:
            log_best(self._store, self._run_id, self._config.data.root, self._say)
        check_outcome(sweep.table, self._trained)
        return sweep

    def _list(self, plan: Plan) -> str:
        """Record the plan's trials as the sweep's; gives the id of its run."""
        so_far = self.record.plan
        self.planned |= {trial.key: trial for trial in planned_trials(plan, self.record.asked.arm_keys)}
        workers = min(self.workers, max(1, len(plan.packs)))
        counts = PlanCounts(
            trials=len(self.planned),
            duplicates=so_far.duplicates + plan.duplicates,
            reused=so_far.reused + len(plan.finished),
            undefined=so_far.undefined + len(plan.undefined),
            packs=so_far.packs + len(plan.packs),
            workers=max(so_far.workers, workers),
        )
        self.record = replace(self.record, plan=counts)
        trials = [*self.planned.values()]
        if self._run_id is None:
            self._run_id = self._store.start_sweep(self.record, trials)
            self._heartbeat = self._store.heartbeat(self._run_id)
            self._heartbeat.start()
            self._leases = self._store.leases(self._run_id)
        else:
            self._store.extend_sweep(self._run_id, self.record, trials)
        return self._run_id


def _job(number: int, pack: PlannedPack, place: Mapping[str, str], *, anew: bool) -> Job:
    keys, values = [p.trial.key for p in pack], [p.values for p in pack]
    alone = pack[0].why_alone is not None
    return Job(number, keys, values, process=this_process(), anew=anew, alone=alone, **place)


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
