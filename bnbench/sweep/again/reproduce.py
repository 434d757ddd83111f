"""Runs a recorded sweep once more, from nothing but its record, and compares every digit."""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bnbench.config import ConfigError, TrackingConfig
from bnbench.config.trial import flatten
from bnbench.config.workspace import Workspace
from bnbench.record.names import Tag
from bnbench.record.results import Recorded, TrialResult
from bnbench.record.sweep_record import SweepRecord
from bnbench.report.manifest import read_manifest
from bnbench.sweep.again.checks import keep_check
from bnbench.sweep.again.compare import compare, known_metrics
from bnbench.sweep.again.sample import choose
from bnbench.sweep.again.since_recorded import likely_cause, notes
from bnbench.sweep.planning.compose import to_config
from bnbench.sweep.planning.describe import arm_label, count, duration
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.new_record import new_record
from bnbench.sweep.planning.norm_rules import undefined_reason
from bnbench.sweep.planning.plan import DataLoader, Plan, Planned
from bnbench.sweep.planning.rebuild import Retraining, prepare_retraining
from bnbench.sweep.running.failure import SweepFailedError
from bnbench.sweep.running.pack_widths import calibrated
from bnbench.sweep.running.running_sweep import RunningSweep
from bnbench.tracking import Store

# Of what the new sweep asks; all else is what the recorded one asked.
_NEW = ("id", "command", "config", "data", "created")


def reproduce(
    source: str,
    hydra: HydraSweep,
    sample: int | None = None,
    into: Path | None = None,
    *,
    say: Callable[[str], None] = print,
) -> None:
    """Train a recorded sweep's trials anew, in packs as any sweep, and say whether every number is the same.

    Args:
        source: A `manifest.json`, or a sweep as `bnbench.load` takes it.
        hydra: Says where the store is, how workers run, and where the images are if not where the sweep found them.
        sample: How many trials; None for all.
        into: The new sweep's `runs_dir`, in which nothing may be recorded; None for a new folder under `reproduced`
            in the one at hand.
        say: Where lines for the user go.

    Raises:
        ConfigError: If a trial is none of this bnbench's, or the folder is taken.
        SweepFailedError: If any number differs, with the first difference and its likely cause.
        TrackingError: If there is no such sweep.
    """
    config = hydra.settings
    workspace = Workspace.of(config)
    record, planned, store = _read(source, workspace)
    title = record.title
    folder = _folder(into, workspace.reproduced / title)
    trained = [trial for trial in planned if trial.trained]
    if not trained:
        raise ConfigError(f"sweep {title} has no finished trial to reproduce; train it first")
    chosen = planned if sample is None else choose(trained, record.asked.varied, sample, config.data.root)
    images = DataLoader(workspace.cache)
    cases = [
        prepare_retraining(r, images, config.data.root) for r in chosen if r.trained or r.result.status == "undefined"
    ]
    left_out = len(chosen) - len(cases)
    say(f"{title}: {len(cases)} of {count(len(planned), 'trial')} again, into {folder}")
    for note in [f"{count(left_out, 'trial')} without recorded numbers left out"] * bool(left_out) + notes(cases):
        say(note)
    results = _train(hydra, cases, record, workspace, folder, say)
    verdicts, other = _compare(cases, results, known_metrics(trial.result for trial in trained), record.asked.varied)
    if store is not None:
        keep_check(store, record, Tag.REPRODUCED, verdicts, say)
    if other:
        raise SweepFailedError(f"{count(verdicts['other'], 'trial')} of {len(cases)} gave other digits, first {other}")
    say(f"{verdicts['same']} of {count(len(cases), 'trial')} gave the recorded digits")
    near = verdicts["near"]
    say(f"{count(near, 'trial')} more agree as far as two devices can" if near else "identical")


def _read(source: str, workspace: Workspace) -> tuple[SweepRecord, list[Recorded], Store | None]:
    """The sweep's description and trials, and the store they come from, if it is one."""
    path = Path(source).expanduser()
    if path.suffix == ".json":
        return *read_manifest(path), None
    store = Store.open(workspace, create=False)
    return *store.recorded(source), store


def _folder(asked_for: Path | None, usual: Path) -> Path:
    """Where the new sweep goes: nowhere that anything is recorded, or its trials would count as trained already."""
    if asked_for is not None:
        folder = asked_for.expanduser().absolute()
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"--into {asked_for} is not empty; a sweep is reproduced into a folder of its own")
        return folder
    return next(f for f in (usual.with_name(f"{usual.name}-{n}") for n in itertools.count(1)) if not f.exists())


def _train(
    hydra: HydraSweep,
    cases: Sequence[Retraining],
    record: SweepRecord,
    workspace: Workspace,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, TrialResult]:
    """The new results by key, read back from the new sweep's own store."""
    folder.mkdir(parents=True, exist_ok=True)
    new_workspace, cache = Workspace.at(folder), workspace.cache
    cache.mkdir(parents=True, exist_ok=True)
    inside = folder.is_relative_to(workspace.runs_dir)  # and moves with it
    # So that images are parsed and pack widths measured once.
    new_workspace.cache.symlink_to(os.path.relpath(cache, folder) if inside else cache)
    usual = flatten(to_config(hydra.compose([])))
    plan = Plan([_planned(case, usual) for case in cases], 0, frozenset(), []).repacked({}, hydra.workers)
    plan = calibrated(plan, cache, hydra.workers, say)
    workers = min(hydra.workers, max(1, len(plan.packs)))
    say(f"{count(len(plan.packs), 'pack')} on {count(workers, 'worker')}, about {duration(plan.seconds / workers)}")
    config = replace(hydra.settings, runs_dir=str(folder), tracking=TrackingConfig())
    new = new_record(config, record.asked.name, plan, [], sys.argv[1:])
    asked = replace(
        record.asked,
        **{key: getattr(new.asked, key) for key in _NEW},
        notes=[*record.asked.notes, f"This sweep trained {record.title} again, to compare them."],
    )
    store = Store.open(new_workspace)
    with suppress(SweepFailedError):  # which trials failed, and why, is found when they are compared
        with RunningSweep(hydra, config, replace(new, asked=asked), store, say) as running:
            running.train(plan)
        running.publish()
    return {trial.result.key: trial.result for trial in store.recorded("latest")[1]}


def _planned(case: Retraining, usual: Mapping[str, Any]) -> Planned:
    """A trial that a worker composes from the defaults and the values that differ from them."""
    differing = {key: value for key, value in flatten(case.config).items() if value != usual[key]}
    differing.pop("data.targets", None)  # the trial's stand in training.targets
    values = {key if "." in key or key == "seed" else f"{key}.name": value for key, value in differing.items()}
    why_alone = "it was recorded as trained alone" if case.alone else None
    return Planned(case.trial, [], values, undefined_reason(case.config), why_alone)


def _compare(
    cases: Sequence[Retraining], results: Mapping[str, TrialResult], metrics: set[str], varied: Sequence[str]
) -> tuple[Counter[str], str]:
    """How many trials had each verdict; of the first with other numbers what differs first, and why."""
    verdicts: Counter[str] = Counter()
    other = ""
    labelled = sorted(varied, key=lambda key: key == "seed")  # the seed last
    for case in cases:
        now = results[case.trial.key]
        comparison = compare(case.recorded.result, now, metrics, case.trial.training.precision)
        verdicts[comparison.verdict] += 1
        if comparison.verdict == "other" and not other:
            cause = likely_cause(case, now.tags)
            other = f"{arm_label(case.trial, labelled)}: {comparison.first}\nlikely cause: {cause}"
    return verdicts, other
