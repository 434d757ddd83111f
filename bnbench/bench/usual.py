"""The usual side, which is what most people write: a LightningModule fed by a DataLoader and logged to MLflow."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any

from bnbench.tensors.vision_ops import ensure_torchvision

ensure_torchvision()  # before Lightning and torchvision

import numpy as np  # noqa: E402
import pytorch_lightning as pl  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from pytorch_lightning.loggers import MLFlowLogger  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset, Subset  # noqa: E402
from torchvision import transforms  # noqa: E402

from bnbench.bench.plain import (  # noqa: E402
    batch_loss,
    parameter_count,
    plain_network,
    plain_optimizer,
    training_loss,
)
from bnbench.bench.rounds import Clock  # noqa: E402
from bnbench.bench.workloads import load_images, trials_of  # noqa: E402
from bnbench.config import Trial  # noqa: E402
from bnbench.data import ImageData, scaling, split_data  # noqa: E402
from bnbench.record import names  # noqa: E402

_LOG_EVERY_STEPS = 50
_WARM_STEPS = 5
_PROBE_IMAGES = 512


class Side:
    """The process of the usual side.

    Like bnbench's timed step, it makes no checkpoints, shows no progress bar and does not validate while it trains.
    It runs on the CPU. Its MLflow store is SQLite in the working folder.
    """

    def __init__(self) -> None:
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore")
        self._folder = Path.cwd()
        self._threads = torch.get_num_threads()
        _ = self._logger().experiment  # creates the store now, which takes seconds

    def prepare(self, overrides: list[str], folder: str, threads: int | None = None) -> dict[str, Any]:
        """Build a trial.

        Args:
            overrides: The workload's overrides.
            folder: Where parsed images are cached.
            threads: Number of torch's threads; None for its default.
        """
        torch.set_num_threads(threads or self._threads)
        (trial,) = trials_of(overrides, [0])
        data = load_images(tuple(overrides), Path(folder))
        self._split = split_data(data, kind=trial.data.split, seed=trial.seed, train_examples=trial.data.train_examples)
        self._images = _Images(data, trial)
        self._module = _Module(plain_network(trial, data.shape, data.classes), trial)
        self._batch_size = trial.training.batch_size
        return {"parameters": parameter_count(self._module), "threads": torch.get_num_threads()}

    def run(self, seconds: float) -> dict[str, float]:
        """Train for at least `seconds` and 50 steps, not counting the first five.

        Returns:
            `rate`, the trial-steps per second in that time; the training loss before and after; and `start_seconds`
            from setting up the trainer to the first step.
        """
        clock = _Stopwatch(seconds)
        loader = DataLoader(
            Subset(self._images, self._split.train.tolist()), self._batch_size, shuffle=True, drop_last=True
        )
        before = self._loss()
        started = time.perf_counter()
        trainer = self._trainer(clock)
        trainer.fit(self._module, loader)
        return {
            **clock.rates,
            "loss_before": before,
            "loss_after": self._loss(),
            "start_seconds": clock.first_step - started,
        }

    def validate(self) -> float:
        """Images per second of `trainer.validate` on the validation split, in batches as large as bnbench's."""
        loader = DataLoader(Subset(self._images, self._split.val.tolist()), names.EVALUATION_BATCH)
        trainer = self._trainer()
        trainer.validate(self._module, loader, verbose=False)
        started = time.perf_counter()
        trainer.validate(self._module, loader, verbose=False)
        return len(self._split.val) / (time.perf_counter() - started)

    def _trainer(self, *callbacks: pl.Callback) -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=-1,
            logger=self._logger(),
            log_every_n_steps=_LOG_EVERY_STEPS,
            callbacks=list(callbacks),
            default_root_dir=self._folder,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    def _logger(self) -> MLFlowLogger:
        return MLFlowLogger(
            experiment_name="usual",
            tracking_uri=f"sqlite:///{self._folder / 'usual.db'}",
            artifact_location=str(self._folder / "usual"),
        )

    def _loss(self) -> float:
        rows = self._split.train[:_PROBE_IMAGES].tolist()
        images, labels = zip(*(self._images[row] for row in rows), strict=True)
        return training_loss(self._module.net, torch.stack(images), torch.tensor(labels), self._module.loss)


class _Images(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's MNIST and CIFAR-10 give them: each made a PIL image, then transformed."""

    def __init__(self, data: ImageData, trial: Trial) -> None:
        split = split_data(data, kind=trial.data.split, seed=trial.seed, train_examples=trial.data.train_examples)
        scale, shift = (v.astype(np.float64) for v in scaling(data, split, trial.data.scaling))
        grey = data.shape[0] == 1
        self._data = data.images[:, 0] if grey else data.images.transpose(0, 2, 3, 1)
        self._targets = data.labels
        dtype = getattr(torch, trial.training.precision)
        steps: list[Any] = [
            transforms.ToTensor(),  # divides by 255
            transforms.Normalize((-shift / (255 * scale)).tolist(), (1 / (255 * scale)).tolist()),
        ]
        if dtype != torch.float32:
            steps.append(transforms.ConvertImageDtype(dtype))
        self._transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._data[index])), int(self._targets[index])


class _Module(pl.LightningModule):
    def __init__(self, net: nn.Module, trial: Trial) -> None:
        super().__init__()
        self.net = net
        self.loss = trial.training.loss
        self._optimizer = trial.optimizer
        self._lr = trial.lr
        self._loss_of = batch_loss(self.loss)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, labels = batch
        loss = self._loss_of(self(x), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, labels = batch
        logits = self(x)
        self.log("val_loss", self._loss_of(logits, labels))
        self.log("val_acc", (logits.argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return plain_optimizer(self._optimizer, self._lr, self)


class _Stopwatch(pl.Callback):
    """Times whole steps, and stops the training."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._steps = 0
        self.first_step = 0.0
        self.rates: dict[str, float] = {}

    def on_train_batch_start(self, *_: Any) -> None:
        if not self._steps:
            self.first_step = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._steps += 1
        if self._steps == _WARM_STEPS:
            self._clock = Clock()
        timed = self._steps - _WARM_STEPS
        if timed >= _LOG_EVERY_STEPS and self._clock.wall_seconds >= self._seconds and not self.rates:
            self.rates = self._clock.rates(timed)
            trainer.should_stop = True
