"""Lightning's Trainer of a pack, which depends on the trial alone and not on the environment."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from bnbench.config import Trial
from bnbench.training.checkpointing import PackFile
from bnbench.training.data_module import PackDataModule
from bnbench.training.module import PackModule

_LIGHTNING = ("pytorch_lightning", "lightning_fabric")


def train(
    module: PackModule, blocks: PackDataModule, callbacks: Sequence[pl.Callback], trial: Trial, file: PackFile | None
) -> None:
    """Train a pack to its last step, or until each of its trials has diverged.

    Args:
        module: The pack.
        blocks: The batches of the pack.
        callbacks: What happens between blocks.
        trial: Any trial of the pack, because all agree on the device and the number of steps.
        file: Where the pack is saved and resumed from; None to do neither.

    Raises:
        RuntimeError: If training ended too early, so that there is no result.
        KeyboardInterrupt: On Ctrl-C.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    handler = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        # Lightning's advice on data loader workers, say, does not apply to indices of images in memory.
        for package in _LIGHTNING:
            warnings.filterwarnings("ignore", module=package)
        trainer = _trainer(trial, callbacks, file)
        try:
            trainer.fit(module, datamodule=blocks, ckpt_path=None if file is None else file.usable())
        except SystemExit as error:
            # Lightning turns Ctrl-C, and what a handler of SIGTERM raises, into an exit, and leaves SIGINT ignored.
            cause = error.__context__
            raise cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)
    module.to(str(trial.training.device))  # Lightning gives a network back on the CPU
    if trainer.global_step < trial.steps and None in module.diverged_at:
        raise RuntimeError(f"training ended after {trainer.global_step} of {trial.steps} steps")


def _trainer(trial: Trial, callbacks: Sequence[pl.Callback], file: PackFile | None) -> pl.Trainer:
    options: dict[str, Any] = {
        "accelerator": str(trial.training.device),
        "devices": 1,
        "max_steps": trial.steps,
        "max_epochs": -1,
        "logger": False,
        "callbacks": [*callbacks],
        # Without an environment given by name Lightning looks for a cluster's (Slurm, torchelastic, MPI …), warns that
        # it was not started by it, and takes its signals: SIGUSR1 would requeue the user's own job.
        "plugins": [LightningEnvironment(), *([] if file is None else [file])],
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    # Lightning takes arguments left out from the environment: PL_TRAINER_FAST_DEV_RUN=1 would end after one step.
    defaults = {name: p.default for name, p in inspect.signature(pl.Trainer).parameters.items()}
    return pl.Trainer(**defaults | options)
