"""The Lightning module of a pack: several optimizer steps of K trials in one training step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from bnbench.config import Trial
from bnbench.packing.optimizers import PackOptimizer, make_optimizer
from bnbench.packing.pack import Pack
from bnbench.training.data_module import Block
from bnbench.training.images import PackImages
from bnbench.training.losses import correct, example_losses
from bnbench.training.schedules import lr_factor

__all__ = ["PackModule"]


class PackModule(pl.LightningModule):
    """Trains K trials, each by its own loss, learning rate and batches.

    The optimized loss is the sum of the trials' mean losses: its gradient with respect to a trial's parameters is
    that of the trial's own loss alone. A trial whose loss is not finite has diverged: at the block's end it is
    frozen and its slot cleared, so that its numbers neither reach a neighbour nor cost time.

    Attributes:
        diverged_at: By slot, the first step (counted from 1) whose loss was not finite, or None.
        loss_sums: (K,) sums of the mean training losses since `reset_training_metrics`, float64.
        correct_sums: (K,) right answers since then.
        examples: Training images a slot since then.
    """

    def __init__(self, pack: Pack, images: PackImages, trials: Sequence[Trial]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.pack = pack
        self.images = images
        self.trials = list(trials)
        self.diverged_at: list[int | None] = [None] * pack.slots
        self.reset_training_metrics()

    def forward(self, x: Tensor) -> Tensor:
        return self.pack(x)  # type: ignore[no-any-return]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.pack.parameters(), [trial.optimizer for trial in self.trials], self.pack.linear)

    def reset_training_metrics(self) -> None:
        """Start the next interval's training loss and accuracy."""
        self.loss_sums = torch.zeros(self.pack.slots, dtype=torch.float64)
        self.correct_sums = torch.zeros(self.pack.slots, dtype=torch.int64)
        self.examples = 0

    def training_step(self, block: Block, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        update: PackOptimizer = optimizer.optimizer
        losses = []
        for step, rows in enumerate(block.rows, start=block.start):
            update.set_lrs([t.lr * lr_factor(t.schedule, step, t.steps) for t in self.trials])
            x, labels = self.images.batch(self.pack, rows)
            logits = self(x)
            loss = example_losses(logits, labels, self.trials[0].training.loss).mean(1)
            optimizer.zero_grad()
            self.manual_backward(loss.sum())
            optimizer.step()
            losses.append(loss.detach())
            self.correct_sums += correct(logits.detach(), labels)
            self.examples += labels.shape[1]
        table = torch.stack(losses, 1).to(torch.float64)  # (K, S): each trial's sum runs along its own row
        self.loss_sums += table.sum(1) * block.rows.shape[2]
        self._freeze_diverged(table, block.start, update)

    def _freeze_diverged(self, losses: Tensor, start: int, optimizer: PackOptimizer) -> None:
        finite = torch.isfinite(losses)
        for slot in torch.nonzero(~finite.all(1)).flatten().tolist():
            if self.diverged_at[slot] is None:
                self.diverged_at[slot] = start + 1 + int(finite[slot].int().argmin())
                optimizer.active[slot] = False
                self.pack.clear(slot)
        if all(step is not None for step in self.diverged_at):
            self.trainer.should_stop = True

    def train_loss(self, slot: int) -> float:
        """Mean training loss of a slot since the last reset; NaN before any step."""
        return float(self.loss_sums[slot]) / self.examples if self.examples else math.nan

    def train_acc(self, slot: int) -> float:
        """Training accuracy of a slot since the last reset; NaN before any step."""
        return int(self.correct_sums[slot]) / self.examples if self.examples else math.nan
