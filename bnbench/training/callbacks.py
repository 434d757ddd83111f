"""Callbacks at the ends of blocks: evaluation on the grid, and reports of progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from bnbench.config import Statistics, Trial
from bnbench.config.evaluation_grid import coarse_steps, evaluation_examples, evaluation_steps
from bnbench.record import names
from bnbench.training.evaluate import Evaluation, evaluate
from bnbench.training.module import PackModule
from bnbench.training.population import estimate_population

Curves = dict[str, list[tuple[int, float]]]


class CurveRecorder(pl.Callback):
    """Evaluates every slot on the grid, with the statistics that `norm.inference` says, and keeps its curves.

    A curve is of the same images from its first point to its last, or it would jump where they change. The last step is
    evaluated on all validation images too, beside the curve.

    Args:
        trial: Any trial of the pack, because all agree on the grid.
        trials: How many trials to keep curves of, from the first slot on.
        val_size: Images in the validation split.

    Attributes:
        curves: By trial, then metric; (step, value) pairs, finite ones only, none after a divergence.
        final: By trial, then metric: after the last step, on all validation images; empty where a trial diverged.
        examples: Validation images that the curves are of.
    """

    def __init__(self, trial: Trial, trials: int, val_size: int) -> None:
        self._grid = evaluation_steps(trial)
        self._points = set(self._grid)
        self._coarse = set(coarse_steps(trial))
        self._val_size = val_size
        self.examples = evaluation_examples(trial, val_size)
        self._loss = trial.training.loss
        self._statistics = trial.norm.inference
        self.curves: list[Curves] = [{} for _ in range(trials)]
        self.final: list[dict[str, float]] = [{} for _ in range(trials)]

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
        rows = module.images.rows("val", self.examples)
        if self._statistics == Statistics.precise:
            estimate_population(module.pack, module.images)
        held_out = evaluate(module.pack, module.images, rows, self._loss, statistics=self._statistics)
        measured = {names.VAL_LOSS: held_out.loss.tolist(), names.VAL_ACC: held_out.acc.tolist()}
        if module.pack.has_running_statistics and step in self._coarse:
            batch = evaluate(module.pack, module.images, rows, self._loss, statistics=Statistics.batch)
            measured[names.VAL_ACC_BATCH] = batch.acc.tolist()
        measured |= {names.TRAIN_LOSS: module.train_loss().tolist(), names.TRAIN_ACC: module.train_acc().tolist()}
        last = step == self._grid[-1]
        on_all_images = self._on_all(module) if last and self.examples < self._val_size else held_out
        for trial, slot in module.slots_of(len(self.curves)).items():
            if not math.isfinite(on_all_images.loss[slot]):
                if last and module.diverged_at[trial] is None:
                    module.diverged_at[trial] = step  # lost in the last update, whose loss no step will see
            elif module.diverged_at[trial] is None:
                for key, values in measured.items():
                    if math.isfinite(values[slot]):
                        self.curves[trial].setdefault(key, []).append((step, values[slot]))
                if last:
                    self.final[trial] = {
                        names.VAL_ACC_FINAL: float(on_all_images.acc[slot]),
                        names.VAL_LOSS_FINAL: float(on_all_images.loss[slot]),
                    }
        module.reset_training_metrics()

    def _on_all(self, module: PackModule) -> Evaluation:
        rows = module.images.rows("val", self._val_size)
        return evaluate(module.pack, module.images, rows, self._loss, statistics=self._statistics)


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
