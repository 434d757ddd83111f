"""bnbench's inner side: one pack's training steps on one thread, without Lightning's loop, evaluation and tracking."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bnbench.tensors.vision_ops import ensure_torchvision

ensure_torchvision()  # before Lightning

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from bnbench.bench.layers import batch_norm_against_torch, fold_against_lone  # noqa: E402
from bnbench.bench.workloads import load_images, trials_of  # noqa: E402
from bnbench.config import Statistics, Trial  # noqa: E402
from bnbench.data import ImageData  # noqa: E402
from bnbench.packing.paces import best_width  # noqa: E402
from bnbench.packing.pack import Pack  # noqa: E402
from bnbench.packing.packed_trials import PackedTrials  # noqa: E402
from bnbench.packing.partition import CANDIDATES  # noqa: E402
from bnbench.training import fit as training  # noqa: E402
from bnbench.training.data_module import Block  # noqa: E402
from bnbench.training.evaluate import evaluate  # noqa: E402
from bnbench.training.image_batches import PackImages  # noqa: E402
from bnbench.training.module import PackModule  # noqa: E402
from bnbench.training.pace import measure_pace  # noqa: E402
from bnbench.training.population import estimate_population  # noqa: E402
from bnbench.training.process import prepare_process  # noqa: E402

_MAX_BLOCK = 128
_BLOCKS_A_RUN = 8
_PROBE_IMAGES = 512
_LONG_STEP_SECONDS = 0.3


class BarePack(PackModule):
    """A pack's module whose training step needs no Trainer; the step itself is the same as in sweeps."""

    def __init__(self, packed: Pack, images: PackImages, trials: PackedTrials) -> None:
        super().__init__(packed, images, trials)
        update = self.configure_optimizers()
        # These are the parts of Lightning's wrapper of an optimizer that the step uses.
        self._update = SimpleNamespace(optimizer=update, zero_grad=update.zero_grad, step=update.step)
        self._done = 0

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        return self._update

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        loss.backward(*args, **kwargs)  # type: ignore[no-untyped-call]

    def take(self, steps: int) -> None:
        """Take the next block of training steps, with batches drawn as the data module draws them."""
        stop = self._done + steps
        self.training_step(Block(self._done, self.images.train_rows(self._done, stop)), 0)
        self._done = stop


def make_pack(trials: Sequence[Trial], data: ImageData) -> BarePack:
    """These trials as one pack, made as `training.fit` makes it."""
    packed, packed_trials = training.make_pack(trials, data)
    images = PackImages(data, packed_trials)
    if packed.needs_population:
        estimate_population(packed, images)
    return BarePack(packed, images, packed_trials)


class Side:
    """A process of bnbench's inner side, set up as a sweep's worker is."""

    def __init__(self) -> None:
        prepare_process()

    def width(self, overrides: list[str], folder: str) -> int:
        """The best number of trials to train together, measured as a long sweep measures it."""
        [trial] = trials_of(overrides, [0])
        return best_width(measure_pace(trial, load_images(tuple(overrides), Path(folder)), CANDIDATES))

    def prepare(self, overrides: list[str], folder: str, width: int, first_seed: int) -> dict[str, Any]:
        """Build and warm up a pack of `width` trials, whose seeds start at `first_seed`."""
        self._trials = trials_of(overrides, range(first_seed, first_seed + width))
        self._data = load_images(tuple(overrides), Path(folder))
        self._module = make_pack(self._trials, self._data)
        self._step_seconds = _warm(self._module)
        packed = self._module.pack
        return {
            "parameters": packed.sizes()[0],
            "width": width,
            "slots": packed.slots,
            "threads": torch.get_num_threads(),
            "rate": width / self._step_seconds,
        }

    def run(self, seconds: float) -> dict[str, float]:
        """Trial-steps per second over at least `seconds`, and the mean training loss before and after."""
        before = self._loss()
        steps, elapsed = _run(self._module, seconds, self._step_seconds)
        return {"rate": len(self._trials) * steps / elapsed, "loss_before": before, "loss_after": self._loss()}

    def norms(self, seconds: float) -> dict[str, Any]:
        """The times of every norm folded against alone, and of batch norm against torch's."""
        close = batch_norm_against_torch(3 * seconds)  # longer, as the two may differ by only a few per cent
        return {"folded": fold_against_lone(seconds), "batch_norm": close}

    def _loss(self) -> float:
        module = self._module
        rows = module.images.first_train_rows(_PROBE_IMAGES)
        loss = module.trials.shared.training.loss
        values = evaluate(module.pack, module.images, rows, loss, batch=_PROBE_IMAGES, statistics=Statistics.batch).loss
        return float(values[: len(self._trials)].mean())


def _warm(module: BarePack) -> float:
    """Seconds per step, not counting a first one that allocates memory, unless that one takes long."""
    started = time.perf_counter()
    module.take(1)
    first = time.perf_counter() - started
    if first > _LONG_STEP_SECONDS:
        return first
    module.take(2)
    return (time.perf_counter() - started - first) / 2


def _run(module: BarePack, seconds: float, step_seconds: float) -> tuple[int, float]:
    """The number of steps taken, and the seconds that they took."""
    block = round(seconds / _BLOCKS_A_RUN / step_seconds)
    block = min(_MAX_BLOCK, max(1, block))
    steps = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        module.take(block)
        steps += block
    return steps, elapsed
