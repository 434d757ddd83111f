"""Trains a sample of a recorded sweep's trials again, each alone, and compares every digit with the store's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bnbench.config import Config, ConfigError
from bnbench.config.workspace import Workspace
from bnbench.record.names import Tag
from bnbench.record.results import TrialResult
from bnbench.sweep.again.checks import keep_check
from bnbench.sweep.again.compare import compare, known_metrics
from bnbench.sweep.again.sample import choose
from bnbench.sweep.again.since_recorded import changes, notes
from bnbench.sweep.planning.describe import arm_label, count, duration
from bnbench.sweep.planning.estimate import training_seconds
from bnbench.sweep.planning.plan import DataLoader
from bnbench.sweep.planning.rebuild import Retraining, prepare_retraining
from bnbench.sweep.running.failure import SweepFailedError

_WORKERS = 2
_START_SECONDS = 8.0  # a worker imports torch and Lightning


def verify(
    sweep: str, config: Config, sample: int | None, *, workers: int = _WORKERS, say: Callable[[str], None] = print
) -> None:
    """Train some of a sweep's trials again, each in a pack of its own, and say whether every number is the same.

    The outcome is kept with the sweep's run; nothing else is written to the store.

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
    from bnbench.tracking import Store

    store = Store.open(Workspace.of(config), create=False)
    cache = store.workspace.cache
    images = DataLoader(cache)
    record, planned = store.recorded(sweep)
    title = record.title
    recorded = [trial for trial in planned if trial.trained]
    if not recorded:
        raise ConfigError(f"sweep {title} has no finished trial to verify; train it first")
    chosen = choose(recorded, record.asked.varied, len(recorded) if sample is None else sample, config.data.root)
    cases = [prepare_retraining(trial, images, config.data.root) for trial in chosen]
    _refuse_others(cases)
    workers = min(workers, len(cases))
    seconds = [training_seconds([case.trial], alone=case.alone) for case in cases]
    about = duration(_START_SECONDS + max(sum(seconds) / workers, *seconds))
    say(f"{title}: {len(cases)} of {count(len(recorded), 'recorded trial')}, each alone, about {about}")
    for note in notes(cases):
        say(note)
    metrics = known_metrics(trial.result for trial in recorded)
    labelled = sorted(record.asked.varied, key=lambda key: key == "seed")  # the seed last
    verdicts: Counter[str] = Counter()
    for number, (case, now) in enumerate(zip(cases, _train(cases, cache, workers), strict=True), start=1):
        comparison = compare(case.recorded.result, now, metrics, case.trial.training.precision)
        verdicts[comparison.verdict] += 1
        say(f"{number} of {len(cases)}  {arm_label(case.trial, labelled)}: {comparison.text}")
    near = f", {verdicts['near']} more agree as far as two devices can" if verdicts["near"] else ""
    say(f"{verdicts['same']} of {count(len(cases), 'trial')} retrained alone gave the same digits{near}")
    keep_check(store, record, Tag.VERIFIED, verdicts, say)
    if verdicts["other"]:
        raise SweepFailedError(f"{count(verdicts['other'], 'trial')} of {title} did not give the recorded digits")


def _refuse_others(cases: Iterable[Retraining]) -> None:
    for case in cases:
        changed = "; ".join(str(change) for change in changes(case) if change.in_key)
        if changed:
            raise ConfigError(f"trial {case.recorded.result.key} cannot be trained again as it was: {changed}")


def _train(cases: Sequence[Retraining], cache: Path, workers: int) -> Iterable[TrialResult]:
    """Each trial's new result, in order, as soon as it is there."""
    from joblib import Parallel, delayed

    # joblib would put quick trials into one task, and show none of them before all are done.
    parallel = Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    results: Iterable[TrialResult] = parallel(delayed(_train_alone)(case, cache) for case in cases)
    return results


def _train_alone(case: Retraining, cache: Path) -> TrialResult:
    """Train in this process as a sweep's worker does, but one trial, and spool nothing."""
    from bnbench.training.fit import fit
    from bnbench.training.process import prepare_process

    prepare_process()
    trial = case.trial
    try:
        [result] = fit([trial], DataLoader(cache).load(case.config), alone=case.alone)
    except Exception as error:  # the other trials are verified all the same
        return TrialResult(trial.key, trial.params, "failed", reason=f"{type(error).__name__}: {error}")
    return result
