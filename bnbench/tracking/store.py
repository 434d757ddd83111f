"""The tracking store: what bnbench asks of MLflow, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bnbench.config.store_address import Address
from bnbench.config.workspace import Workspace
from bnbench.record.mean_curves import SweepCharts
from bnbench.record.names import Tag
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.redaction import redacted_values
from bnbench.record.results import Recorded, TrialResult
from bnbench.record.sweep_record import CheckRecord, FoundOut, ListedSweep, SweepRecord, TimingRecord
from bnbench.record.sweep_table import SweepTable
from bnbench.tracking import sweep_runs
from bnbench.tracking.archive import SweepArchive
from bnbench.tracking.bulk import recorded_trials
from bnbench.tracking.connect import Connection, connect, reported, show_files_here
from bnbench.tracking.drain import Drain
from bnbench.tracking.heartbeat import Heartbeat
from bnbench.tracking.leases import Leases
from bnbench.tracking.mean_runs import delete_other_means, version_of, write_means
from bnbench.tracking.read_sweep import load_table, load_trials, planned_table
from bnbench.tracking.recorded import read_recorded
from bnbench.tracking.spool import Spool
from bnbench.tracking.standing import Standing, read_standing
from bnbench.tracking.sweep_tags import Parent
from bnbench.tracking.timing_runs import newest_timing, record_timing
from bnbench.tracking.trial_runs import run_time, trial_run
from bnbench.tracking.views import CHARTS, TRIALS, chart_view, links, trial_views, view_address, view_id, write_views
from bnbench.tracking.write_runs import add_to_sweep, write_runs

if TYPE_CHECKING:
    from bnbench.tracking.transfer import Added


class Store:
    """Trials and sweeps in an MLflow store; made by `Store.open`.

    It stands on `MlflowClient` alone: no active run, no global tracking URI. Every method raises
    `TrackingError` if the store does not do as asked.

    Attributes:
        workspace: Where it is, and where the files of its sweeps are.
    """

    def __init__(self, workspace: Workspace, connection: Connection) -> None:
        self.workspace = workspace
        self._connection = connection
        self._finished: dict[str, str] | None = None
        self._times: set[tuple[str, tuple[int, int]]] = set()
        self._parents: dict[str, Parent] = {}

    @classmethod
    def open(cls, workspace: Workspace, *, create: bool = True) -> Store:
        """Open the store, safe against other processes that do the same.

        Args:
            workspace: Where it is.
            create: Whether to make what is missing, the database say; a reader says False.

        Raises:
            NothingRecordedError: If something is missing and `create` is False.
            TrackingError: If the store cannot be used; one line that says what to do.
        """
        return cls(workspace, connect(workspace, create=create))

    @property
    def address(self) -> Address:
        """Where the store is."""
        return self._connection.address

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment."""
        return self._connection.experiment_id

    def finished(self) -> dict[str, str]:
        """The run id of every trial whose result counts, by its key; failed and half-written ones do not."""
        self._finished = None
        return dict(self._known_finished())

    def start_sweep(self, record: SweepRecord, trials: Sequence[PlannedTrial]) -> str:
        """The id of the new sweep's run; runs that killed processes left open are closed before.

        Args:
            record: The sweep's description, of which secrets are taken out.
            trials: The planned trials in their order.
        """
        record = SweepRecord.from_json(redacted_values(record.to_json()))
        with reported(self.address):
            sweep_runs.close_killed(self._connection)
            run_id = sweep_runs.start_sweep(self._connection, record, trials)
            self._take_in(run_id, record, trials)
            write_views(
                self._connection, record.asked.name, trial_views(record, {trial.params["model"] for trial in trials})
            )
        return run_id

    def extend_sweep(self, run_id: str, record: SweepRecord, trials: Sequence[PlannedTrial]) -> None:
        """Record that a running sweep plans more trials; `trials` are all of them, as `start_sweep` takes them."""
        record = SweepRecord.from_json(redacted_values(record.to_json()))
        with reported(self.address):
            sweep_runs.extend_sweep(self._connection, run_id, record, trials)
            self._take_in(run_id, record, trials)

    def _take_in(self, run_id: str, record: SweepRecord, trials: Sequence[PlannedTrial]) -> None:
        """Keep what the runs of its trials need of a sweep, and add those to it that earlier sweeps trained."""
        self._parents[run_id] = Parent.of(run_id, record, trials)
        reused = {trial.key for trial in trials if trial.reused}
        if reused:
            add_to_sweep(self._connection, reused, record.asked.id)

    def record(self, results: list[TrialResult], sweep_run_id: str | None = None) -> None:
        """Write each result as one run.

        A trial that has a finished run is not written again, for a pack may be delivered twice; unless it was
        trained anew on purpose, which its tag `names.Tag.ANEW` says: then the newest run counts.

        Args:
            results: Of one pack, say.
            sweep_run_id: The run of the sweep that trained those that do not say it themselves, or None.

        Raises:
            ValueError: If a number is not finite; nothing is written then.
        """
        finished = self._known_finished()
        seen, fresh = {*finished}, []
        for result in results:
            if self._is_new(result, seen):
                fresh.append(result)
            if result.status != "failed":
                seen.add(result.key)
        with reported(self.address):
            runs = [trial_run(result, self._parent(result.tags.get(Tag.PARENT, sweep_run_id))) for result in fresh]
            for result, run, run_id in zip(fresh, runs, write_runs(self._connection, runs), strict=True):
                if result.status != "failed":
                    finished[result.key] = run_id  # known at once: a pack that breaks off is delivered again
                    self._times.add((result.key, (run.start_time, run.end_time)))

    def _is_new(self, result: TrialResult, finished: Set[str]) -> bool:
        if result.key not in finished:
            return True
        return Tag.ANEW in result.tags and (result.key, run_time(result)) not in self._times

    def heartbeat(self, run_id: str) -> Heartbeat:
        """What tells other hosts that a sweep is being trained."""
        return Heartbeat(self._connection, run_id)

    def leases(self, run_id: str) -> Leases:
        """What a sweep takes of trials, and what others hold."""
        return Leases(self._connection, run_id)

    def close_killed(self) -> int:
        """End the runs that killed processes of this host left open, and return how many."""
        with reported(self.address):
            return sweep_runs.close_killed(self._connection)

    def drain(
        self,
        *,
        on_result: Callable[[TrialResult], None],
        patience_seconds: float = 60.0,
        sync: str = "python -m bnbench sync",
    ) -> Drain:
        """What delivers the results that wait for this store; arguments as of `Drain`."""
        waiting = Spool.of(self.workspace)
        return Drain(self, waiting, on_result=on_result, patience_seconds=patience_seconds, sync=sync)

    def note_check(self, run_id: str, tag: str, result: CheckRecord) -> None:
        """Keep with a sweep what came of training its trials again; see `sweep_runs.note_check`."""
        with reported(self.address):
            sweep_runs.note_check(self._connection, run_id, tag, result)

    def links(self, record: SweepRecord) -> str:
        """A line of Markdown that leads from a sweep's run to its report and its charts."""
        return links(record)

    def standing(self, sweep: str) -> Standing:
        """How far a sweep is, without its numbers.

        Args:
            sweep: A run id, `<name>-<id>`, a name for its newest sweep, or "latest".
        """
        with reported(self.address):
            return read_standing(self._connection, sweep)

    def finish_sweep(
        self,
        run_id: str,
        *,
        status: Literal["FINISHED", "FAILED", "KILLED"],
        metrics: Mapping[str, float],
        artifacts: list[Path],
        note: str,
        headlines: Sequence[str] = (),
    ) -> None:
        """End a sweep's run; called again, it adds to it, and the time of its end stays.

        Args:
            run_id: Of the sweep.
            status: FAILED if trials failed, KILLED if it was interrupted.
            metrics: Numbers about the whole sweep; finite.
            artifacts: Files and folders to keep with it: the report.
            note: Its description, in Markdown.
            headlines: Its answers, a sentence each.
        """
        with reported(self.address):
            sweep_runs.finish_sweep(
                self._connection,
                run_id,
                status=status,
                metrics=metrics,
                artifacts=artifacts,
                note=note,
                headlines=headlines,
            )

    def record_timing(self, timing: TimingRecord) -> str:
        """The id of the new run of a timing, as `timing_runs.record_timing` takes it."""
        with reported(self.address):
            return record_timing(self._connection, timing)

    def newest_timing(self, planned: Sequence[PlannedTrial]) -> TimingRecord | None:
        """As `timing_runs.newest_timing` finds it."""
        with reported(self.address):
            return newest_timing(self._connection, planned)

    def load(self, sweep: str) -> SweepTable:
        """A sweep's trials and curves, bit for bit as they were measured.

        Args:
            sweep: A run id, `<name>-<id>`, a name for its newest sweep, or "latest".
        """
        with reported(self.address):
            return load_table(self._connection, sweep)

    def plan(self, sweep: str) -> tuple[SweepRecord, list[PlannedTrial]]:
        """A sweep's description and its planned trials, as `start_sweep` was given them."""
        with reported(self.address):
            return sweep_runs.read_plan(self._connection, sweep_runs.find_sweep(self._connection, sweep))

    def planned_table(self, record: SweepRecord, trials: Sequence[PlannedTrial]) -> SweepTable:
        """As `load`, of a sweep that is not trained yet, with the newest timing of its trials."""
        return planned_table(replace(record, found_out=FoundOut(timing=self.newest_timing(trials))), trials)

    def load_trials(self, record: SweepRecord, trials: Sequence[PlannedTrial]) -> SweepTable:
        """As `load`, of trials that were chosen from several sweeps; arguments as of `start_sweep`."""
        with reported(self.address):
            return load_trials(self._connection, record, trials)

    def recorded(self, sweep: str) -> tuple[SweepRecord, list[Recorded]]:
        """A sweep's description, and its trials with every number they have; see `read_recorded`."""
        with reported(self.address):
            return read_recorded(self._connection, sweep)

    def archived(self, sweep: str) -> SweepArchive:
        """A sweep with all that the store holds of it, as a file can carry it; see `transfer.gather`."""
        from bnbench.tracking.transfer import gather

        with reported(self.address):
            return gather(self._connection, sweep)

    def add_archive(self, archive: SweepArchive) -> Added:
        """Record a sweep that came as a file, as far as it is not here; see `transfer.add`."""
        from bnbench.tracking.transfer import add

        self._finished = None
        with reported(self.address):
            return add(self._connection, archive)

    def log_model(self, run_id: str, weights: Path, tags: Mapping[str, str]) -> str:
        """The id of a new model with these weights, the output of a sweep's run; see `models.log_model`."""
        from bnbench.tracking.models import log_model

        with reported(self.address):
            return log_model(self._connection, run_id, weights, tags)

    def show_files_here(self) -> None:
        """See that MLflow's page finds the files of a copied or moved store; see `connect.show_files_here`."""
        with reported(self.address):
            show_files_here(self._connection)

    def serve_ui(
        self, charts: str, *, host: str, port: int, allowed_hosts: str | None = None, open_browser: bool = False
    ) -> None:
        """Serve MLflow's UI until Ctrl-C; see `server.serve_ui`."""
        from bnbench.tracking.server import serve_ui

        serve_ui(self.address, charts, host=host, port=port, allowed_hosts=allowed_hosts, open_browser=open_browser)

    def write_charts(self, table: SweepTable, charts: SweepCharts) -> str:
        """Write what MLflow's page is to draw of a sweep, in the place of what it drew before.

        Once more with the same charts changes nothing. A process that is killed at it leaves the earlier charts, or
        these.

        Args:
            table: The sweep, as `load` gives it.
            charts: Its charts.

        Returns:
            Where on a server they are, the part of an address after the host and its slash; where there is nothing to
            draw, where the table of its trials is.
        """
        record = table.record
        views = trial_views(record, {*table.trials["model"]})
        with reported(self.address):
            if charts.sections:
                write_means(self._connection, record, charts)
                views.append(chart_view(record, charts))
            write_views(self._connection, record.asked.name, views)
            if charts.sections:
                delete_other_means(self._connection, record.place.run_id, version_of(charts))
        kind = CHARTS if charts.sections else TRIALS
        return view_address(self.experiment_id, view_id(record.asked.name, kind), table=kind == TRIALS)

    def _known_finished(self) -> dict[str, str]:
        """As far as this store has read and written; what others write meanwhile is not in it."""
        if self._finished is None:
            with reported(self.address):
                trials = recorded_trials(self._connection)
            self._finished = {trial.key: trial.run_id for trial in trials if trial.counts}
            self._times = {(trial.key, trial.time) for trial in trials if trial.counts}
        return self._finished

    def _parent(self, run_id: str | None) -> Parent | None:
        """The sweep of a run id; of one that another process started, what can be read back."""
        if run_id is not None and run_id not in self._parents:
            self._parents[run_id] = sweep_runs.read_parent(self._connection, run_id)
        return None if run_id is None else self._parents[run_id]

    def sweeps(self) -> list[ListedSweep]:
        """Every sweep of the experiment, the newest first."""
        with reported(self.address):
            return sweep_runs.list_sweeps(self._connection)
