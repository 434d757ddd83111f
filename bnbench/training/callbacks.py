"""What happens between blocks: evaluation on the grid, and word of progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from bnbench import names
from bnbench.config import Statistics, Trial
from bnbench.config.grid import coarse_steps, evaluation_examples, evaluation_steps
from bnbench.training.evaluate import evaluate
from bnbench.training.module import PackModule
from bnbench.training.population import estimate_population

__all__ = ["CurveRecorder", "Curves", "ProgressReporter"]

Curves = dict[str, list[tuple[int, float]]]


class CurveRecorder(pl.Callback):
    """Evaluates every slot on the grid, with the statistics that `norm.inference` says, and keeps its curves.

    Args:
        trial: Any of the pack's: they agree on the grid.
        trials: How many trials to keep curves of, from the first slot on.
        val_size: Images in the validation split.

    Attributes:
        curves: By trial, then metric; (step, value) pairs, finite ones only, none after a divergence.
    """

    def __init__(self, trial: Trial, trials: int, val_size: int) -> None:
        self._grid = evaluation_steps(trial)
        self._points = set(self._grid)
        self._coarse = set(coarse_steps(trial))
        self._examples = evaluation_examples(trial, val_size)
        self._loss = trial.training.loss
        self._statistics = trial.norm.inference
        self.curves: list[Curves] = [{} for _ in range(trials)]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, PackModule)
        if trainer.global_step == 0:
            self._evaluate(pl_module, 0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, PackModule)
        if trainer.global_step in self._points:
            self._evaluate(pl_module, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {"curves": self.curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curves = state_dict["curves"]

    def _evaluate(self, module: PackModule, step: int) -> None:
        rows = module.images.rows("val", self._examples)
        if self._statistics == Statistics.precise:
            estimate_population(module.pack, module.images)
        held_out = evaluate(module.pack, module.images, rows, self._loss, statistics=self._statistics)
        measured = {names.VAL_LOSS: held_out.loss.tolist(), names.VAL_ACC: held_out.acc.tolist()}
        if module.pack.has_running_statistics and step in self._coarse:
            batch = evaluate(module.pack, module.images, rows, self._loss, statistics=Statistics.batch)
            measured[names.VAL_ACC_BATCH] = batch.acc.tolist()
        measured |= {names.TRAIN_LOSS: module.train_loss().tolist(), names.TRAIN_ACC: module.train_acc().tolist()}
        for trial, slot in module.slots_of(len(self.curves)).items():
            if not math.isfinite(held_out.loss[slot]):
                if step == self._grid[-1] and module.diverged_at[trial] is None:
                    module.diverged_at[trial] = step  # lost in the last update, whose loss no step will see
            elif module.diverged_at[trial] is None:
                for key, values in measured.items():
                    if math.isfinite(values[slot]):
                        self.curves[trial].setdefault(key, []).append((step, values[slot]))
        module.reset_training_metrics()


class ProgressReporter(pl.Callback):
    """Tells how many steps the pack has taken, and how many of its trials have diverged, after every block."""

    def __init__(self, report: Callable[[int, int], None], trials: int) -> None:
        self._report = report
        self._trials = trials

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, PackModule)
        diverged = sum(step is not None for step in pl_module.diverged_at[: self._trials])
        self._report(trainer.global_step, diverged)
