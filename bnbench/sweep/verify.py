"""Trains a sample of a recorded sweep's trials again, each alone, and compares every digit with the store's."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bnbench import __version__, names
from bnbench.config import Config, ConfigError, Trial, schema
from bnbench.config.trial import NUMERICS_VERSION, VARIES_IN_PACK
from bnbench.data import DATASETS
from bnbench.models import MODELS
from bnbench.norms import NORMS
from bnbench.results import TrialResult
from bnbench.sweep.compose import set_values
from bnbench.sweep.describe import arm_label, count, duration
from bnbench.sweep.estimate import training_seconds
from bnbench.sweep.failure import SweepFailedError
from bnbench.sweep.plan import DataLoader

if TYPE_CHECKING:
    from bnbench.tracking.connect import Connection

__all__ = ["Difference", "Recorded", "choose", "differences", "rebuild", "verify"]

_PARENT = "mlflow.parentRunId"  # MLflow's own tag
_WORKERS = 2
_SHOWN = 5  # differences of a trial
# Relative, of the validation loss before the first step: TF32, in which some GPUs multiply, rounds by 2^-11.
_TOLERANCE = {"float32": 1e-3, "float64": 1e-9}
_PACKAGES = ("bnbench", "numpy", "pytorch-lightning")  # torch is part of the key
_START_SECONDS = 8.0  # a worker imports torch and Lightning


@dataclass(frozen=True)
class Recorded:
    """A trial as the store holds it.

    Attributes:
        result: Its outcome, of the newest run that counts, whatever sweep trained it.
        run_id: That run's.
        tuning: Whether it only chooses a learning rate.
    """

    result: TrialResult
    run_id: str
    tuning: bool


@dataclass(frozen=True)
class _Again:
    """A recorded trial, ready to be trained again.

    Attributes:
        recorded: Its outcome then, with the tags of its run.
        origin: The description of the sweep that trained it, which may be another than the one that lists it.
        config: Its configuration, rebuilt.
        trial: What that becomes here; it has the recorded key.
    """

    recorded: TrialResult
    origin: dict[str, Any]
    config: Config
    trial: Trial


def verify(
    sweep: str, config: Config, sample: int | None, *, workers: int = _WORKERS, say: Callable[[str], None] = print
) -> None:
    """Train some of a sweep's trials again, each in a pack of its own, and say whether every number is the same.

    Nothing is written to the store.

    Args:
        sweep: As `bnbench.load` takes it.
        config: Says where the store is, and where the images are if not where the sweep found them.
        sample: How many trials; None for all that finished or diverged.
        workers: Trials trained at once, each in a process of its own; 1 trains in this process.
        say: Where lines for the user go.

    Raises:
        ConfigError: If a trial cannot be the same training any more: other images, another torch, another bnbench.
        SweepFailedError: If any number differs; after all of them were compared.
        TrackingError: If there is no such sweep.
    """
    from bnbench.tracking.address import Address
    from bnbench.tracking.connect import connect, reported

    runs_dir = Path(config.runs_dir).expanduser().absolute()
    address = Address.resolve(config.tracking.uri, runs_dir)
    connection = connect(address, experiment=config.tracking.experiment, create=False)
    images = DataLoader(runs_dir / "cache")
    with reported(address):
        meta, recorded = _read(connection, sweep)
        title = f"{meta['name']}-{meta['id']}"
        if not recorded:
            raise ConfigError(f"sweep {title} has no finished trial to verify; train it first")
        chosen = choose(recorded, meta["varied"], len(recorded) if sample is None else sample)
        cases = [_again(record, connection, meta, images, config.data.root) for record in chosen]
    workers = min(workers, len(cases))
    seconds = [training_seconds([case.trial]) for case in cases]
    about = duration(_START_SECONDS + max(sum(seconds) / workers, *seconds))
    say(f"{title}: {len(cases)} of {count(len(recorded), 'recorded trial')}, each alone, about {about}")
    for note in _notes(cases):
        say(note)
    known = {key for record in recorded for key, _ in _values(record.result)}
    labelled = sorted(meta["varied"], key=lambda key: key == "seed")  # the seed last
    verdicts: Counter[str] = Counter()
    for number, (case, now) in enumerate(zip(cases, _train(cases, runs_dir / "cache", workers), strict=True), start=1):
        verdict, text = _judge(case, now, known)
        verdicts[verdict] += 1
        say(f"{number} of {len(cases)}  {arm_label(case.trial, labelled)}: {text}")
    near = f", {verdicts['near']} more agree as far as two devices can" if verdicts["near"] else ""
    say(f"{verdicts['same']} of {count(len(cases), 'trial')} retrained alone gave the same digits{near}")
    if verdicts["other"]:
        raise SweepFailedError(f"{count(verdicts['other'], 'trial')} of {title} did not give the recorded digits")


def choose(recorded: Sequence[Recorded], varied: Sequence[str], number: int) -> list[Recorded]:
    """Up to `number` trials that cover the sweep; the same ones each time.

    The next one is always that with the most traits not seen yet: the values of what varies in the sweep, the shape
    that decides its pack, tuning or reporting, finished or diverged. Among equals it is of the shape taken least, then
    the quickest to train, then the first planned: a long training is repeated only where it shows something new.
    """
    if number >= len(recorded):
        return [*recorded]
    shapes = [json.dumps({k: v for k, v in r.result.params.items() if k not in VARIES_IN_PACK}) for r in recorded]
    seconds = {shape: _seconds(r.result) for shape, r in dict(zip(shapes, recorded, strict=True)).items()}
    traits = [
        {("shape", shape), ("tuning", r.tuning), ("status", r.result.status)}
        | {(key, r.result.params.get(key)) for key in varied}
        for shape, r in zip(shapes, recorded, strict=True)
    ]
    taken: Counter[str] = Counter()
    seen: set[tuple[str, Any]] = set()
    chosen: list[int] = []
    for _ in range(number):
        best = min(
            (i for i in range(len(recorded)) if i not in chosen),
            key=lambda i: (-len(traits[i] - seen), taken[shapes[i]], seconds[shapes[i]], i),
        )
        chosen.append(best)
        taken[shapes[best]] += 1
        seen |= traits[best]
    return [recorded[i] for i in chosen]


def rebuild(result: TrialResult, meta: Mapping[str, Any], *, root: str | None = None) -> Config:
    """The configuration that gives a recorded trial again.

    Its params define it and its recorded metrics name its targets; of the sweep's own configuration only the place
    of the images matters, which `root` replaces.

    Raises:
        ConfigError: If it has a key, a value, a model, a norm or data that this bnbench does not know.
    """
    params = result.params
    for key, known in (("data", DATASETS), ("model", MODELS), ("norm", NORMS)):
        if params[key] not in known:
            raise ConfigError(f"trial {result.key} has {key}={params[key]}, unknown to bnbench {__version__}")
    values = {key if "." in key or key == "seed" else f"{key}.name": value for key, value in params.items()}
    data = meta["config"]["data"]
    values |= {"data.root": root or data["root"], "data.download": data["download"]}
    heads = (key.partition("/val_acc_") for key in result.metrics)
    values["training.targets"] = [float(target) for head, _, target in heads if head == "reached"]
    try:
        return set_values(schema(), values)
    except ConfigError as error:
        raise ConfigError(f"trial {result.key} is not one of bnbench {__version__}: {error}") from error


@dataclass(frozen=True)
class Difference:
    """A number that did not come out again; None where there is none.

    Attributes:
        key: The metric's.
        step: On its curve; None for a final number.
    """

    key: str
    step: int | None
    recorded: float | None
    now: float | None

    @property
    def relative(self) -> float:
        """Relative to the larger of the two; infinite where one is missing."""
        if self.recorded is None or self.now is None:
            return math.inf
        return abs(self.recorded - self.now) / max(abs(self.recorded), abs(self.now))

    def __str__(self) -> str:
        place = self.key if self.step is None else f"{self.key} at step {self.step}"
        size = "" if self.relative == math.inf else f", relative difference {self.relative:.2g}"
        return f"{place}: recorded {self.recorded!r}, now {self.now!r}{size}"


def differences(recorded: TrialResult, now: TrialResult, known: Iterable[str]) -> list[Difference]:
    """Every number that is not equal in both: the step of divergence, curves by step, finals last.

    Args:
        recorded: From the store.
        now: Trained again.
        known: The metrics that any trial of the sweep has: others are newer than it, and not compared.
    """
    old, new, known = _values(recorded), _values(now), {*known}
    places = [place for place in {**old, **new} if place in old or place[0] in known]
    places.sort(key=lambda place: (place[1] is None, place[1] or 0, place[0]))
    pairs = [(place, old.get(place), new.get(place)) for place in places]
    found = [Difference(*place, before, after) for place, before, after in pairs if before != after]
    if recorded.diverged_step != now.diverged_step:
        found.insert(0, Difference("diverged_step", None, recorded.diverged_step, now.diverged_step))
    return found


def _values(result: TrialResult) -> dict[tuple[str, int | None], float]:
    finals: dict[tuple[str, int | None], float] = {(key, None): value for key, value in result.metrics.items()}
    return finals | {(key, step): value for key, points in result.curves.items() for step, value in points}


def _read(connection: Connection, sweep: str) -> tuple[dict[str, Any], list[Recorded]]:
    """A sweep's description and its trials with a result, in the planned order."""
    from bnbench.tracking.bulk import recorded_points, recorded_trials
    from bnbench.tracking.sweep_runs import find_sweep, read_plan

    meta, planned = read_plan(connection, find_sweep(connection, sweep))
    latest = {t.key: t for t in recorded_trials(connection) if t.counts and t.status in {"finished", "diverged"}}
    found: dict[str, Recorded] = {}
    for key, params in ((entry["key"], entry["params"]) for entry in planned if entry["key"] in latest):
        run = latest[key]
        result = TrialResult(key, params, run.status, diverged_step=run.diverged_step)
        found[run.run_id] = Recorded(result, run.run_id, params["seed"] in meta["tuning_seeds"])
    for run_id, metric, step, value in sorted(recorded_points(connection, [*found])):
        if metric in names.CURVES:
            found[run_id].result.curves.setdefault(metric, []).append((step, value))
        else:
            found[run_id].result.metrics[metric] = value
    return meta, [*found.values()]


def _again(
    record: Recorded, connection: Connection, meta: dict[str, Any], images: DataLoader, root: str | None
) -> _Again:
    from bnbench.tracking.sweep_runs import read_plan

    tags = connection.client.get_run(record.run_id).data.tags
    parent = tags.get(_PARENT, meta["run_id"])
    origin = meta if parent == meta["run_id"] else read_plan(connection, connection.client.get_run(parent))[0]
    recorded = replace(record.result, tags=tags)
    config = rebuild(recorded, origin, root=root)
    train_size = DATASETS[config.data.name].train
    trial = Trial.from_config(config, train_size=train_size, data_checksum=images.checksum(config))
    if trial.key != recorded.key:
        raise ConfigError(_refusal(recorded, origin, images.load(config).checksum))
    return _Again(recorded, origin, config, trial)


def _seconds(result: TrialResult) -> float:
    config = rebuild(result, {"config": {"data": {"root": None, "download": False}}})
    return training_seconds([Trial.from_config(config, train_size=DATASETS[config.data.name].train, data_checksum="")])


def _refusal(recorded: TrialResult, origin: Mapping[str, Any], checksum: str) -> str:
    from bnbench.tracking.environment import versions

    then, here = origin["versions"], versions()
    had = []
    if then.get("torch") != here.get("torch"):
        had.append(f"torch {then.get('torch')}, and this is {here.get('torch')}")
    before = recorded.tags.get(names.Tag.DATA_CHECKSUM, "")
    if before != checksum:
        had.append(f"data={recorded.params['data']} with checksum {before[:12]}, and this is {checksum[:12]}")
    if not had:  # what else a key is made of is bnbench's own
        commit = origin.get("git", {}).get("commit", "unknown")
        had.append(
            f"other numerics, those of bnbench {then.get('bnbench')} (commit {commit[:12]}), and this is "
            f"bnbench {__version__}, numerics version {NUMERICS_VERSION}"
        )
    return f"trial {recorded.key} cannot be trained again as it was: it had {'; and '.join(had)}"


def _notes(cases: Iterable[_Again]) -> list[str]:
    """A line for each way in which what trained them differs from what trains them now, and what follows from it."""
    from bnbench.tracking.environment import hardware, versions

    lines: dict[str, None] = {}
    cpu, here = hardware()["cpu"], versions()
    for case in cases:
        then = case.origin["versions"]
        other = [f"{name} {then.get(name)}, now {here.get(name)}" for name in _PACKAGES if then.get(name) != here[name]]
        if other:
            lines[f"recorded with {'; '.join(other)}: where digits differ, this may be why"] = None
        before = case.origin["hardware"]["cpu"]
        if before != cpu:
            lines[
                f"recorded on {before}, and this is {cpu}: kernels are picked by the CPU, so rounding may differ, and "
                "training makes such a difference grow; the comparison is shown all the same"
            ] = None
        device = _device(case.recorded)
        if device != "cpu":
            lines[
                f"recorded on device={device}, whose kernels sum in another order: the validation loss before the "
                f"first step must agree within a relative {_TOLERANCE['float32']:g} ({_TOLERANCE['float64']:g} in "
                "float64), as far as one forward pass may round; training makes rounding grow without bound, so the "
                "other values are shown and not judged"
            ] = None
    return [*lines]


def _device(result: TrialResult) -> str:
    return result.tags.get(names.Tag.DEVICE, "cpu")


def _train(cases: Sequence[_Again], cache: Path, workers: int) -> Iterable[TrialResult]:
    """Each trial's new result, in order, as soon as it is there."""
    from joblib import Parallel, delayed

    # joblib would put quick trials into one task, and show none of them before all are done.
    parallel = Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    results: Iterable[TrialResult] = parallel(delayed(_train_alone)(case.config, case.trial, cache) for case in cases)
    return results


def _train_alone(config: Config, trial: Trial, cache: Path) -> TrialResult:
    """Train in this process as a sweep's worker does, but one trial, and spool nothing."""
    from bnbench.training.fit import fit
    from bnbench.training.process import prepare_process

    prepare_process()
    try:
        [result] = fit([trial], DataLoader(cache).load(config))
    except Exception as error:  # the other trials are verified all the same
        return TrialResult(trial.key, trial.params, "failed", reason=f"{type(error).__name__}: {error}")
    return result


def _judge(case: _Again, now: TrialResult, known: Iterable[str]) -> tuple[Literal["same", "near", "other"], str]:
    """Whether the numbers are the recorded ones, and what there is to say of them."""
    recorded = case.recorded
    if now.status == "failed":
        return "other", f"failed: {now.reason}"
    found = differences(recorded, now, known)
    finals, points = len(recorded.metrics), sum(map(len, recorded.curves.values()))
    if not found:
        diverged = "" if recorded.diverged_step is None else f"diverged at step {recorded.diverged_step}, "
        curves = count(len(recorded.curves), "curve")
        return "same", f"same: {diverged}{count(finals, 'number')} and {curves} of {count(points, 'point')} in all"
    shown = "".join(f"\n    {difference}" for difference in found[:_SHOWN])
    text = f"{len(found)} of {finals + points} values differ, the first:{shown}"
    if {_device(recorded), _device(now)} == {"cpu"}:
        return "other", text
    first = next((d for d in found if (d.key, d.step) == (names.VAL_LOSS, 0)), None)
    near = first is None or first.relative <= _TOLERANCE[case.trial.training.precision]
    return ("near" if near else "other"), text
