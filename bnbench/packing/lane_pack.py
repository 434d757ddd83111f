"""A pack whose steps and evaluations the compiled kernels compute, one trial in each lane of a vector."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bnbench.config import Averaging, ConfigError, Statistics, Trial
from bnbench.lanes.compiling import LANES
from bnbench.lanes.layers import NormPlace, draw_seeds, lane_layers
from bnbench.lanes.library import load_library, why_no_kernels
from bnbench.lanes.network import Array, LabelledImages, LaneNetwork, Normalizer, Rule, Settings
from bnbench.norms.batch import BatchNorm
from bnbench.norms.renorm import BatchRenorm
from bnbench.packing.pack import FoldedPack, padded_with_last
from bnbench.packing.packed_trials import PackedTrials
from bnbench.tensors.drawing import Draws

STATE_NAMES = {
    Array.weight: "weight",
    Array.bias: "bias",
    Array.gamma: "weight",
    Array.beta: "bias",
    Array.learned_eps: "learned_eps",
    Array.threshold: "threshold",
    Array.running_mean: "running_mean",
    Array.running_var: "running_var",
    Array.error_along_y: "error_along_y",
    Array.error_along_one: "error_along_one",
}
"""What a network's state_dict calls each array of a layer or of its norm."""

_NORMALIZERS = {Statistics.batch: Normalizer.batch, Statistics.running: Normalizer.running}
_OF_LAYER = (Array.weight, Array.bias)
_OF_KERNELS = (
    "_networks",
    "layers",
    "_batch_size",
    "_modules_by_path",
    "_draws",
    "_optimizer",
    "_kernels_are_newer",
    "_tensors_are_newer",
)


class LanePack(FoldedPack):
    """K networks that the kernels train and evaluate, 16 at a time. As tensors they are what a `FoldedPack` of them is.

    The kernels store the networks in an order of their own. What is computed with the tensors, such as a measure, needs
    `settle` before, which brings the tensors up to date; what writes into them needs `reload` after.

    Args:
        nets: One a slot.
        trials: The trials of the slots.
        library: The kernels, from `load_library`.
        image_shape: Shape (C, H, W) of one image.

    Attributes:
        layers: The layers as the kernels have them.

    Raises:
        ValueError: If a batch norm is over a single value per channel, and `norm.single_value` does not allow that.
    """

    def __init__(
        self,
        nets: Sequence[nn.Module],
        trials: PackedTrials,
        library: ctypes.CDLL,
        image_shape: tuple[int, int, int],
    ) -> None:
        super().__init__(nets)
        shared = trials.shared
        batch_size, decays = shared.training.batch_size, shared.optimizer.weight_decay > 0
        self.layers = lane_layers(nets[0], image_shape, batch_size, decays=decays)
        self._modules_by_path = dict(self.net.named_modules())
        self._batch_size = batch_size
        self._refuse_single_values()
        self._draws = [module for module in self.net.modules() if isinstance(module, Draws)]
        for module in self._draws:
            module.by_counter = True  # for measures, which see the masks and the noise of the kernels
        seeds = draw_seeds(self.layers, nets)
        self._networks = [
            LaneNetwork(
                library,
                self.layers,
                [_settings(trial) for trial in trials.by_slot[start : start + LANES]],
                seeds[..., start : start + LANES],
                image_shape=image_shape,
                batch_size=batch_size,
                loss=shared.training.loss,
                rule=_rule(shared),
                cumulative=shared.norm.averaging == Averaging.cumulative,
            )
            for start in range(0, len(nets), LANES)
        ]
        self._optimizer: Any = None
        self._kernels_are_newer = False
        self._tensors_are_newer = True

    def __deepcopy__(self, memo: dict[int, Any]) -> FoldedPack:
        """A pack of the same networks that torch computes with."""
        self.settle()
        copied = FoldedPack.__new__(FoldedPack)
        copied.__dict__ = copy.deepcopy({name: v for name, v in vars(self).items() if name not in _OF_KERNELS}, memo)
        return copied

    def _refuse_single_values(self) -> None:
        for index, norm in self._batch_norms():
            layer = self.layers[index]
            output = layer.output
            if (layer.examples or self._batch_size) * output.height * output.width == 1 and not (
                norm.constant or norm.frozen
            ):
                norm.refuse_single_value((1, output.channels))

    def use_optimizer(self, optimizer: Any) -> None:
        """Say which `PackOptimizer` of the parameters holds what the kernels keep of them."""
        self._optimizer = optimizer
        self.reload()

    def width_of(self, trials: int) -> int:
        return self.slots  # fewer lanes take no less time

    def select(self, slots: Sequence[int]) -> None:
        raise AssertionError("the lanes of a pack stay as they are; `width_of` says so")

    def clear(self, slot: int) -> None:
        self.settle()
        super().clear(slot)
        for state in self._optimizer.state.values():
            for value in state.values():
                value[slot].zero_()
        self.reload()

    # ---- between the kernels and the tensors ----

    def settle(self) -> None:
        """Bring the tensors, and those of the optimizer, up to date with what the kernels computed."""
        if not self._kernels_are_newer:
            return
        self._copy_all("read")
        for module in self._draws:
            module.steps.fill_(self._optimizer.steps_taken)
        for index, norm in self._batch_norms():
            if isinstance(norm, BatchRenorm):
                norm.steps.fill_(self._optimizer.steps_taken)
            if norm.cumulative:
                parts = self._batch_size // (self.layers[index].examples or self._batch_size)
                norm.batches.fill_(self._optimizer.steps_taken * parts)
        self._kernels_are_newer = False

    def reload(self) -> None:
        """Let the kernels go on from the tensors, and from those of the optimizer."""
        assert not self._kernels_are_newer, "what the kernels computed would be lost"
        self._tensors_are_newer = True

    def _by_network(self) -> Iterator[tuple[LaneNetwork, slice]]:
        """Each network of lanes, and its slots."""
        for start, network in zip(range(0, self.slots, LANES), self._networks, strict=True):
            yield network, slice(start, start + LANES)

    def _make_ready(self) -> None:
        if not self._tensors_are_newer:
            return
        self._copy_all("write")
        if self._optimizer is not None:
            for network in self._networks:
                network.set_taken(self._optimizer.steps_taken)
        self._tensors_are_newer = False

    @torch.no_grad()
    def _copy_all(self, direction: Literal["read", "write"]) -> None:
        for index, array, tensor in self._tensors():
            kept = self._optimizer.state.get(tensor, {}).values() if self._optimizer is not None else ()
            for moment, value in enumerate([tensor.data, *kept]):
                for network, slots in self._by_network():
                    getattr(network, direction)(index, array, value[slots], moment)

    def _tensors(self) -> Iterator[tuple[int, Array, Tensor]]:
        """Every parameter and running statistic, with its layer's number and which array of that it is."""
        for index, layer in enumerate(self.layers):
            for array in self._networks[0].arrays(index):
                owner = self._modules_by_path[layer.path if array in _OF_LAYER else layer.norm_path]
                deviates = array == Array.running_var and isinstance(owner, BatchRenorm)
                yield index, array, getattr(owner, "running_std" if deviates else STATE_NAMES[array])

    # ---- what the kernels compute ----

    def take_steps(self, source: LabelledImages, rows: Tensor, lrs: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
        """Take S steps of every slot.

        Args:
            source: Where the rows point.
            rows: Rows of the data set, (S, K, N).
            lrs: Learning rates, by step and slot; 0 keeps a slot as it is.

        Returns:
            Mean losses before each step, (K, S), and right answers of all steps, (K,), both float64.
        """
        self._make_ready()
        table = torch.tensor(lrs, dtype=torch.float64)
        taken = [n.train(source.of(slots), rows[:, slots], table[:, slots]) for n, slots in self._by_network()]
        losses, right = (torch.cat(values, 1) for values in zip(*taken, strict=True))
        self._kernels_are_newer = True
        self._optimizer.steps_taken += len(rows)
        return losses.t().contiguous(), right.sum(0)

    def evaluate(self, source: LabelledImages, rows: Tensor, statistics: Statistics) -> tuple[Tensor, Tensor]:
        """Sums of the losses and of the right answers on one batch of each slot's images, (K,), float64.

        Args:
            source: Where the rows point.
            rows: (K, n).
            statistics: What batch norms normalize with.
        """
        self._make_ready()
        normalizer = _NORMALIZERS.get(statistics, Normalizer.given)
        if normalizer == Normalizer.given:
            self._give(statistics)
        sums = [n.evaluate(source.of(slots), rows[slots], normalizer) for n, slots in self._by_network()]
        losses, right = (torch.cat(values) for values in zip(*sums, strict=True))
        return losses, right

    def _give(self, statistics: Statistics) -> None:
        """Give the kernels statistics that the norms have in their buffers, or that are constants."""
        for index, norm in self._batch_norms():
            norm.statistics = statistics
            given = norm.evaluation_statistics()
            norm.statistics = Statistics.running
            for array, values in zip((Array.given_mean, Array.given_var), given, strict=True):
                for network, slots in self._by_network():
                    network.write(index, array, values.view(self.slots, -1)[slots])

    def batch_statistics(self, source: LabelledImages, rows: Tensor) -> dict[BatchNorm, tuple[Tensor, Tensor]]:
        """By norm, the means and variances (divisor n) of its input over a batch of n images, each (K * C,).

        Args:
            source: Where the rows point.
            rows: (K, n).
        """
        self.evaluate(source, rows, Statistics.batch)
        found = {}
        for index, norm in self._batch_norms():
            parts = [network.last_statistics(index) for network in self._networks]
            mean, var = (torch.cat(values).flatten() for values in zip(*parts, strict=True))
            found[norm] = mean, var
        return found

    def _batch_norms(self) -> Iterator[tuple[int, BatchNorm]]:
        for index, layer in enumerate(self.layers):
            if layer.norm != NormPlace.none and layer.running and not layer.online:
                norm = self._modules_by_path[layer.norm_path]
                assert isinstance(norm, BatchNorm)
                yield index, norm


def lane_pack(
    nets: Sequence[nn.Module], trials: PackedTrials, image_shape: tuple[int, int, int]
) -> tuple[LanePack, PackedTrials]:
    """The networks as a pack of the kernels, and the trial of each of its slots; padded like a pack of torch's.

    Raises:
        ConfigError: If there are no kernels here; one line.
    """
    library = load_library()
    if library is None:
        raise ConfigError(
            f"training.engine=lanes needs bnbench's kernels: {why_no_kernels()}; set training.engine=torch"
        )
    padded = padded_with_last(nets)
    padded_trials = trials.padded(len(padded))
    return LanePack(padded, padded_trials, library, image_shape), padded_trials


def _rule(trial: Trial) -> Rule:
    name = trial.optimizer.name
    return Rule.nesterov if name == "momentum" and trial.optimizer.nesterov else Rule[name]


def _settings(trial: Trial) -> Settings:
    optimizer = trial.optimizer
    momentum = trial.norm.momentum
    assert momentum is not None, "a trial's norm is resolved"
    return Settings(
        momentum=optimizer.momentum,
        beta1=optimizer.beta1,
        beta2=optimizer.beta2,
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
        norm_momentum=momentum,
        dropout=trial.model.dropout,
    )
