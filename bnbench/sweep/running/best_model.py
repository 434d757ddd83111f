"""The network of a sweep's best arm, trained once more to be kept: sweeps themselves keep no weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import Parallel, delayed

from bnbench.record.names import TEST_ACC, VAL_ACC_FINAL, Tag
from bnbench.record.results import Recorded, TrialResult
from bnbench.sweep.planning.plan import DataLoader
from bnbench.sweep.planning.rebuild import Retraining, prepare_retraining

if TYPE_CHECKING:
    from bnbench.tracking import Store


def log_best(store: Store, run_id: str, root: str | None, say: Callable[[str], None]) -> None:
    """Train the best trial of a sweep's best arm again, alone, and log its network with the sweep's run.

    Args:
        store: Where the sweep is.
        run_id: The sweep's run.
        root: Where the images are, if not where the sweep found them.
        say: Where a line for the user goes.
    """
    record, recorded = store.recorded(run_id)
    best = best_trial(recorded, record.asked.arm_keys)
    if best is None:
        say("model: none logged, for no trial finished")
        return
    cache = store.workspace.cache
    case = prepare_retraining(best, DataLoader(cache), root)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pt"
        # In a process of its own, set up as a sweep's worker is: with one job joblib would train in this one.
        [now] = Parallel(n_jobs=2)([delayed(_train)(case, cache, weights)])
        before, after = best.result.metrics[TEST_ACC], now.metrics[TEST_ACC]
        tags = {Tag.KEY: now.key, Tag.SWEEP_ID: record.asked.id, TEST_ACC: str(after)}
        model_id = store.log_model(run_id, weights, tags)
    compared = "as recorded" if after == before else f"recorded: {before}"
    say(f"model: models:/{model_id}, of trial {now.key}, test accuracy {after} ({compared})")


def best_trial(recorded: Sequence[Recorded], arm_keys: Sequence[str]) -> Recorded | None:
    """Of the arm with the highest mean validation accuracy after the last step, the trial with the highest.

    Test images and trials that only choose learning rates have no say. Among equals the first planned; None where no
    trial finished.
    """
    arms: dict[tuple[str, ...], list[tuple[float, Recorded]]] = {}
    for trial in recorded:
        if trial.result.status == "finished" and not trial.tuning:
            arm = tuple(str(trial.result.params.get(key)) for key in arm_keys)
            arms.setdefault(arm, []).append((trial.result.metrics[VAL_ACC_FINAL], trial))
    if not arms:
        return None
    best = max(arms.values(), key=lambda arm: sum(accuracy for accuracy, _ in arm) / len(arm))
    return max(best, key=lambda scored: scored[0])[1]


def _train(case: Retraining, cache: Path, weights: Path) -> TrialResult:
    """The trial's result; its network is written to `weights`."""
    from bnbench.training.fit import fit
    from bnbench.training.process import prepare_process
    from bnbench.training.weights import save_network

    prepare_process()
    data = DataLoader(cache).load(case.config)
    [result] = fit(
        [case.trial], data, alone=case.alone, look=lambda pack: save_network(weights, pack, case.config, data)
    )
    return result
