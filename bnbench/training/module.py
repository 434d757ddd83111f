"""The Lightning module of a pack: several optimizer steps of K trials in one training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from bnbench.config.schedule_catalog import lr_factor
from bnbench.optimizers.per_trial import PackOptimizer, make_optimizer
from bnbench.packing.lane_pack import LanePack
from bnbench.packing.pack import Pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.training.data_module import Block
from bnbench.training.image_batches import PackImages
from bnbench.training.losses import correct
from bnbench.training.step import train_step

_STATE_KEY = "pack_module"
_ATTRIBUTES_KEY = "attributes"
_STATE_NAMES = ("diverged_at", "started_in", "losses", "correct_sums", "examples")
_LOSSES_PER_SUM = 128  # whatever the length of a block, because sums of another length round differently


class PackModule(pl.LightningModule):
    """Trains K trials, each by its own loss, learning rate and batches.

    The optimized loss is the sum of the trials' mean losses: its gradient with respect to a trial's parameters is
    that of the trial's own loss alone. A trial whose loss is not finite has diverged: at the block's end it is
    frozen and its slot cleared, so that its numbers neither reach a neighbour nor cost time. Once the remaining trials
    fit into half as many slots, the pack is narrowed to them.

    Attributes:
        diverged_at: By the slot a trial started in, the first step (counted from 1) whose training
            loss was not finite, the last one if only the validation loss after it was not; or None.
        started_in: By slot, the one in which its trial started.
        losses: Mean loss of each training step since `reset_training_metrics`, (K, S), float64.
        correct_sums: Correct answers of each slot since then, (K,).
        examples: Training images of each slot since then.
    """

    def __init__(self, pack: Pack, images: PackImages, trials: PackedTrials) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.pack = pack
        self.images = images
        self.trials = trials
        self.diverged_at: list[int | None] = [None] * pack.slots
        self.started_in = [*range(pack.slots)]
        self.reset_training_metrics()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = make_optimizer(
            self.pack.parameters(), [trial.optimizer for trial in self.trials.by_slot], self.pack.linear
        )
        self.pack.use_optimizer(optimizer)
        return optimizer

    def reset_training_metrics(self) -> None:
        """Start the next interval's training loss and accuracy."""
        device = next(self.pack.parameters()).device
        self.losses = torch.empty(self.pack.slots, 0, dtype=torch.float64, device=device)
        self.correct_sums = torch.zeros(self.pack.slots, dtype=torch.int64, device=device)
        self.examples = 0

    def training_step(self, block: Block, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        rows = block.rows if len(self.started_in) == block.rows.shape[1] else block.rows[:, self.started_in]
        losses, right = (
            self._take_lane_steps(block.start, rows, optimizer)
            if isinstance(self.pack, LanePack)
            else self._take_torch_steps(block.start, rows, optimizer)
        )
        self.correct_sums += right
        self.examples += rows.shape[0] * rows.shape[2]
        self.losses = torch.cat([self.losses, losses], 1)
        self._freeze_diverged(losses, block.start, optimizer.optimizer)

    def _take_torch_steps(self, start: int, block_rows: Tensor, optimizer: Any) -> tuple[Tensor, Tensor]:
        """Each slot's mean loss before each step, (K, S), float64, and its right answers, (K,)."""
        loss = self.trials.shared.training.loss
        losses = []
        right = torch.zeros_like(self.correct_sums)
        for step, rows in enumerate(block_rows, start=start):
            optimizer.optimizer.set_lrs(self.lrs(step))
            images, labels = self.images.batch(self.pack, rows)
            step_losses, logits = train_step(self.pack, images, labels, loss, optimizer, self.manual_backward)
            losses.append(step_losses)
            right += correct(logits, labels)
        return torch.stack(losses, 1).to(torch.float64), right

    def _take_lane_steps(self, start: int, rows: Tensor, optimizer: Any) -> tuple[Tensor, Tensor]:
        """The same, of steps that the kernels take in one call."""
        assert isinstance(self.pack, LanePack)
        active = optimizer.optimizer.active
        lrs = [
            [lr if on else 0.0 for lr, on in zip(self.lrs(step), active, strict=True)]
            for step in range(start, start + len(rows))
        ]
        losses, right = self.pack.take_steps(self.images.source, rows, lrs)
        self._count_steps(len(rows))
        return losses, right.to(torch.int64)

    def _count_steps(self, steps: int) -> None:
        """Tell Lightning of steps that its wrapper of the optimizer did not take."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for _ in range(steps):
            progress.increment_ready()
            progress.increment_completed()

    def lrs(self, step: int) -> list[float]:
        """Each slot's learning rate for one update, counted from 0."""
        return [t.lr * lr_factor(t.schedule, step, t.steps) for t in self.trials.by_slot]

    def _freeze_diverged(self, losses: Tensor, start: int, optimizer: PackOptimizer) -> None:
        finite = torch.isfinite(losses)
        for slot in torch.nonzero(~finite.all(1)).flatten().tolist():
            if optimizer.active[slot]:
                self.diverged_at[self.started_in[slot]] = start + 1 + int(finite[slot].int().argmin())
                optimizer.active[slot] = False
                self.pack.clear(slot)
        alive = [slot for slot, active in enumerate(optimizer.active) if active]
        if not alive:
            self.trainer.should_stop = True
        elif self.pack.width_of(len(alive)) <= self.pack.slots // 2:
            self._move(alive, optimizer)

    def _move(self, alive: list[int], optimizer: PackOptimizer) -> None:
        """Narrow the pack to the slots that are alive and, where the layout needs more, copies of the last one."""
        slots = alive + alive[-1:] * (self.pack.width_of(len(alive)) - len(alive))
        self._select(slots)
        optimizer.select(slots)

    def _select(self, slots: list[int]) -> None:
        self.pack.select(slots)
        self.images = self.images.of(slots)
        self.trials = self.trials.select(slots)
        self.started_in = [self.started_in[slot] for slot in slots]
        self.losses, self.correct_sums = self.losses[slots], self.correct_sums[slots]

    def state_dict(self, *args: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """Every tensor that a step depends on, by name, including buffers that no state_dict of a network has."""
        self.pack.settle()
        return {name: value.detach() for name, value in (*self.named_parameters(), *self.named_buffers())}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> None:
        """Copy a state into the existing tensors, because the optimizer holds views of the parameters."""
        for name, value in self.state_dict().items():
            value.copy_(state[name])
        self.pack.reload()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[_STATE_KEY] = {name: getattr(self, name) for name in _STATE_NAMES}
        checkpoint[_ATTRIBUTES_KEY] = self.pack.attributes()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Narrow the pack, if it had been narrowed when it was saved, so that the state that follows fits."""
        if checkpoint[_STATE_KEY]["started_in"] != self.started_in:
            self._select(checkpoint[_STATE_KEY]["started_in"])
        for name in _STATE_NAMES:
            setattr(self, name, checkpoint[_STATE_KEY][name])
        self.pack.put_attributes(checkpoint[_ATTRIBUTES_KEY])

    def slots_of(self, trials: int) -> dict[int, int]:
        """The present slot of each of the first so many trials that is still in the pack, by the slot it started in."""
        places = {start: slot for slot, start in reversed([*enumerate(self.started_in)])}
        return {start: slot for start, slot in sorted(places.items()) if start < trials}

    def train_loss(self) -> Tensor:
        """Each slot's mean training loss since the last reset, (K,); NaN before any step."""
        total = self.losses.new_zeros(len(self.losses))
        for part in torch.split(self.losses, _LOSSES_PER_SUM, 1):  # each trial's sum runs along its own row
            total += part.contiguous().sum(1) * self.trials.shared.training.batch_size
        return total / self.examples

    def train_acc(self) -> Tensor:
        """Each slot's training accuracy since the last reset, (K,); NaN before any step."""
        return self.correct_sums.to(torch.float64) / self.examples
