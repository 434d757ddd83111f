"""Saves a pack in the middle of its training, and trains it on to the same bits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO

from bnbench.record import checkpoints
from bnbench.record.checkpoints import CheckpointError


class PackFile(CheckpointIO):
    """Lightning's reading and writing of checkpoints, into the file of one pack.

    Args:
        folder: Where checkpoints are.
        keys: The pack's trials.
        conditions: What the numbers depend on beside the configuration.
    """

    def __init__(self, folder: Path, keys: Sequence[str], conditions: Mapping[str, str]) -> None:
        self.path = checkpoints.path_for(folder, keys)
        self._keys = keys
        self._conditions = conditions

    def usable(self) -> Path | None:
        """The file, if there is one to go on from; one that is damaged is warned of and removed."""
        try:
            checkpoints.read(self.path, self._conditions)
        except FileNotFoundError:
            return None
        except (CheckpointError, OSError) as error:
            warnings.warn(f"{error}; its trials are trained from the start", stacklevel=2)
            self.path.unlink(missing_ok=True)
            return None
        return self.path

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        checkpoints.write(Path(path), self._keys, self._conditions, buffer.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        payload = checkpoints.read(Path(path), self._conditions)
        loaded: dict[str, Any] = torch.load(io.BytesIO(payload), map_location=map_location, weights_only=True)
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class Checkpointer(pl.Callback):
    """Saves the pack at the end of the first block at or after every so many steps.

    Blocks end where they would without it, so that no sum over a block changes. The last of a trainer's callbacks, for
    it saves what the others have.

    Args:
        path: Where to.
        every: Steps.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path = path
        self._every = every
        self._saved = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step // self._every > self._saved // self._every and step < trainer.max_steps and not trainer.should_stop:
            self._saved = step
            try:
                trainer.save_checkpoint(self._path)
            except OSError as error:  # of a full disk, say: the training itself is not in danger
                warnings.warn(f"checkpoint {self._path} cannot be written ({error})", stacklevel=1)
