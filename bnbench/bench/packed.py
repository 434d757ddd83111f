"""bnbench's own sides: training steps of one pack, torch's or the lanes', without Lightning's loop and tracking."""

from __future__ import annotations

import statistics
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
from bnbench.bench.rounds import Clock  # noqa: E402
from bnbench.bench.workloads import load_images, trials_of  # noqa: E402
from bnbench.config import Statistics, Trial  # noqa: E402
from bnbench.data import ImageData  # noqa: E402
from bnbench.lanes.compiling import LANES  # noqa: E402
from bnbench.lanes.library import load_library  # noqa: E402
from bnbench.lanes.peak import fma_peak, step_operations  # noqa: E402
from bnbench.packing.lane_pack import LanePack  # noqa: E402
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
_PEAK_SECONDS = 0.1


class BarePack(PackModule):
    """A pack's module whose training step needs no Trainer; the step itself is the same as in sweeps."""

    def __init__(self, packed: Pack, images: PackImages, trials: PackedTrials) -> None:
        super().__init__(packed, images, trials)
        update = self.configure_optimizers()
        # These are the parts of Lightning's wrapper of an optimizer that the step uses.
        self._update = SimpleNamespace(optimizer=update, zero_grad=update.zero_grad, step=update.step)
        self.steps_taken = 0

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        return self._update

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        loss.backward(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _count_steps(self, steps: int) -> None:
        pass  # there is no Trainer to tell

    def take(self, steps: int) -> None:
        """Take the next block of training steps, with batches drawn as the data module draws them."""
        stop = self.steps_taken + steps
        self.training_step(Block(self.steps_taken, self.images.train_rows(self.steps_taken, stop)), 0)
        self.steps_taken = stop


def make_pack(trials: Sequence[Trial], data: ImageData) -> BarePack:
    """These trials as one pack, made as `training.fit` makes it."""
    packed, packed_trials = training.make_pack(trials, data)
    images = PackImages(data, packed_trials)
    if packed.needs_population:
        estimate_population(packed, images)
    return BarePack(packed, images, packed_trials)


class Side:
    """The process of a side of bnbench's own, set up as a sweep's worker is."""

    def __init__(self) -> None:
        prepare_process()

    def width(self, overrides: list[str], folder: str) -> int:
        """The best number of trials to train together, measured as a long sweep measures it."""
        [trial] = trials_of(overrides, [0])
        return best_width(measure_pace(trial, load_images(tuple(overrides), Path(folder)), CANDIDATES))

    def prepare(self, overrides: list[str], folder: str, width: int = LANES) -> dict[str, Any]:
        """Build and warm up a pack of `width` trials, whose seeds start at 0."""
        self._trials = trials_of(overrides, range(width))
        self._data = load_images(tuple(overrides), Path(folder))
        self._module = make_pack(self._trials, self._data)
        self._step_seconds = warm_up(self._module)
        packed = self._module.pack
        return {
            "parameters": packed.sizes()[0],
            "width": width,
            "slots": packed.slots,
            "threads": torch.get_num_threads(),
        }

    def losses_after(self, steps: int) -> list[float]:
        """Each trial's training loss once it has taken `steps` steps in all, including those of `prepare`."""
        self._module.take(steps - self._module.steps_taken)
        return self._losses()

    def run(self, seconds: float) -> dict[str, float]:
        """The rates of trial-steps over at least `seconds`, and the mean training loss before and after.

        Returns:
            For lanes also `operations`, those per second of the steps' products, and `peak_operations`, the most that
            the core can do.
        """
        before = statistics.mean(self._losses())
        clock = Clock()
        steps = train_for(self._module, seconds, self._step_seconds)
        answer = clock.rates(len(self._trials) * steps)
        if isinstance(self._module.pack, LanePack):
            answer |= self._operations(self._module.pack, answer["rate"])
        return {**answer, "loss_before": before, "loss_after": statistics.mean(self._losses())}

    def _operations(self, pack: LanePack, rate: float) -> dict[str, float]:
        library = load_library()
        assert library is not None, "the pack has it"
        a_step = step_operations(pack.layers, self._trials[0].training.batch_size)
        return {"operations": rate * a_step, "peak_operations": fma_peak(library, _PEAK_SECONDS)}

    def norms(self, seconds: float) -> dict[str, Any]:
        """The times of every norm folded against alone, and of batch norm against torch's."""
        close = batch_norm_against_torch(3 * seconds)  # longer, as the two may differ by only a few per cent
        return {"folded": fold_against_lone(seconds), "batch_norm": close}

    def gpu(self, seconds: float, folder: str) -> dict[str, Any]:
        """The GPU's name, and the rates of packs and of lone trials on it."""
        from bnbench.bench.gpu_packs import packs_against_lone

        return packs_against_lone(seconds, Path(folder))

    def _losses(self) -> list[float]:
        module = self._module
        rows = module.images.first_train_rows(_PROBE_IMAGES)
        loss = module.trials.shared.training.loss
        values = evaluate(module.pack, module.images, rows, loss, batch=_PROBE_IMAGES, statistics=Statistics.batch).loss
        return [float(value) for value in values[: len(self._trials)]]


def warm_up(module: BarePack) -> float:
    """Seconds per step, not counting a first one that allocates memory, unless that one takes long."""
    started = time.perf_counter()
    module.take(1)
    first = time.perf_counter() - started
    if first > _LONG_STEP_SECONDS:
        return first
    module.take(2)
    return (time.perf_counter() - started - first) / 2


def train_for(module: BarePack, seconds: float, step_seconds: float) -> int:
    """Take steps for at least `seconds`, in blocks as long as a sweep's if steps are short; returns their number."""
    block = round(seconds / _BLOCKS_A_RUN / step_seconds)
    block = min(_MAX_BLOCK, max(1, block))
    steps = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        module.take(block)
        steps += block
    return steps
