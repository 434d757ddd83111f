"""Lightning's Trainer of a pack, on which nothing outside the trial has a say."""

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
        blocks: Its batches.
        callbacks: What happens between blocks.
        trial: Any of the pack's: they agree on the device and the number of steps.
        file: Where the pack is saved, and gone on with where it was; None saves and finds nothing.

    Raises:
        RuntimeError: If training ended earlier: then nothing of it may be taken for a result.
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
    # Lightning takes what is not given from the environment: PL_TRAINER_FAST_DEV_RUN=1 would end after one step.
    defaults = {name: p.default for name, p in inspect.signature(pl.Trainer).parameters.items()}
    return pl.Trainer(**defaults | options)
