"""The trials that a claim may be judged on: those of its sweep's file, or of a sweep that went on until settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnbench.claims.history import earlier_sweeps
from bnbench.config import Size, Until, environment
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.sweep_record import ListedSweep, SweepRecord
from bnbench.sweep.hydra_session import hydra_sweep
from bnbench.sweep.planning.describe import arm_keys, varied_keys
from bnbench.sweep.planning.file_trials import FileTrials, Params, params_of, trials_of_file
from bnbench.sweep.planning.norm_rules import undefined_reason

if TYPE_CHECKING:
    from bnbench.record.sweep_table import SweepTable
    from bnbench.tracking import Store

# A sweep as the store lists it, its description, and its planned trials.
ReadSweep = tuple[ListedSweep, SweepRecord, list[PlannedTrial]]


@dataclass(frozen=True)
class Evidence:
    """What is recorded of a sweep's file.

    Attributes:
        table: Its trials; those of more seeds beside. None where one of the file's is missing.
        planned: How many trials of the file can have a result.
        recorded: How many of these have one.
        sweeps: The sweeps that have them, newest first, as `<name>-<id>`.
    """

    table: SweepTable | None
    planned: int
    recorded: int
    sweeps: list[str]


def find_evidence(sweep: str, words: Sequence[str], store: Store) -> Evidence:
    """The recorded trials that fit a sweep's file: of its full size where they are all there, else of its quick one.

    A trial fits if it has the params of one of the file's but for the seed, and was trained by these numerics and this
    torch. The newest run of a trial counts, in whatever sweep it stands; but seeds beyond the file's do not count where
    they were added because of what had come out.

    Args:
        sweep: The file's name.
        words: Settings in place of the file's, and Hydra's own.
        store: Where trials are recorded.
    """
    plans = [(listed, *store.plan(listed.run_id)) for listed in store.sweeps()]
    of_full_size = any(
        record.asked.config["sweep"]["size"] == Size.full for _, record, _ in plans if record.asked.name == sweep
    )
    for size in [Size.full] * of_full_size + [Size.quick]:
        typed = [f"+sweep={sweep}", *words, f"sweep.size={size}"]
        with hydra_sweep(typed) as hydra:
            evidence = _among_recorded(trials_of_file(hydra, typed), plans, store)
        if evidence.table is not None:
            break
    return evidence


def settled_evidence(sweep: str, store: Store) -> Evidence | None:
    """The newest whole sweep of that name that went on until its claims were settled; None where there is none."""
    for listed in store.sweeps():
        if listed.name != sweep or listed.summary.status != "FINISHED":
            continue
        record, _ = store.plan(listed.run_id)
        if record.asked.config["sweep"].get("until") == Until.claims and _by_these_numerics(record):
            table = store.load(listed.run_id)
            return Evidence(table, len(table.trials), len(table.trials), [record.title])
    return None


def _by_these_numerics(record: SweepRecord) -> bool:
    here = environment.versions()
    return all(record.environment.versions.get(name) == here[name] for name in ("numerics", "torch"))


def _among_recorded(file: FileTrials, plans: Sequence[ReadSweep], store: Store) -> Evidence:
    needed, finished = file.defined, store.finished()
    arms = {_without_seed(params) for params in needed}
    entries: dict[Params, PlannedTrial] = {}
    sources: list[tuple[ListedSweep, SweepRecord]] = []
    for sweep, record, planned in plans:
        if not _by_these_numerics(record):
            continue
        fitting = {params_of(trial.params): trial for trial in planned if trial.key in finished}
        new = {
            params: trial
            for params, trial in fitting.items()
            if params not in entries
            and _without_seed(params) in arms
            and (params in needed or (not record.asked.looks and trial.seed not in record.asked.tuning_seeds))
        }
        if new:
            entries |= new
            sources.append((sweep, record))
    recorded, names = len(needed & entries.keys()), [record.title for _, record in sources]
    if recorded < len(needed):
        return Evidence(None, len(needed), recorded, names)
    undefined = [
        PlannedTrial(trial.key, trial.params, undefined=reason)
        for trial in file.trials
        if (reason := undefined_reason(trial)) is not None
    ]
    table = store.load_trials(_description(file, sources), [*entries.values(), *undefined])
    return Evidence(table, len(needed), recorded, names)


def _description(file: FileTrials, sources: Sequence[tuple[ListedSweep, SweepRecord]]) -> SweepRecord:
    """A description as of one sweep that trained all of them, compared as the file says."""
    request = file.request
    config = request.config.sweep
    of_file = [record for _, record in sources if record.asked.name == request.name]
    earlier = earlier_sweeps(request.name, [sweep for sweep, _ in sources])[1:]
    named_before = {sweep.id: sweep for record in of_file for sweep in record.asked.earlier}
    data = {data.name: data for _, record in reversed(sources) for data in record.asked.data}
    varied = varied_keys(file.trials, request.grid.axes)
    newest = sources[0][1]
    described = replace(
        newest.asked,
        name=request.name,
        compare=list(config.compare),
        contrasts=list(config.contrasts),
        axis=config.axis,
        tuning_seeds=list(config.tuning_seeds),
        varied=varied,
        arm_keys=arm_keys(file.trials, varied),
        data=[*data.values()],
        claims=of_file[0].asked.claims if of_file else {},
        earlier=[*(named_before | {sweep.id: sweep for sweep in earlier}).values()],
    )
    return replace(newest, asked=described)


def _without_seed(params: Params) -> Params:
    return frozenset(item for item in params if item[0] != "seed")
