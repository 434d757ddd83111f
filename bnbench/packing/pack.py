"""The networks of a pack's trials as one module, which is what a Trainer trains."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from bnbench.config import Statistics
from bnbench.norms.channel_norm import ChannelNorm, NormError
from bnbench.norms.statistics_norm import StatisticsNorm
from bnbench.packing.leaves import (
    RULES,
    FoldedConv2d,
    FoldedLinear,
    FoldedPixelConv2d,
    FoldedStandardizedLinear,
    UnpackableError,
)
from bnbench.packing.one_by_one import OneByOne
from bnbench.packing.slots import aligned_width
from bnbench.tensors.memory_layout import Layout, fold_images, select_slots, trial_rows

_CONTAINERS = (nn.Sequential, nn.ModuleList)  # may be empty
_NOT_ONE_BY_ONE = (nn.Linear, _ConvNd, _DropoutNd, StatisticsNorm)
"""What is seen as such from outside: layers with weights, what draws, what evaluates under chosen statistics."""


class Pack(nn.Module, ABC):
    """The networks of K trials as one module, one network a slot.

    Every parameter and buffer of `net` has the lone network's name and shape (K, …): its k-th row belongs to slot k.
    Where a conv layer only sees 1x1 maps, the parameter is the middle of its kernel; `slot_state` has the whole kernel.

    Attributes:
        net: Owns the parameters and buffers.
        slots: K.
        norms: The norms that keep statistics, in the order of the network.
        linear: The linear layers that multiply with their weights as they are.
    """

    def __init__(self, net: nn.Module, slots: int, norms: list[StatisticsNorm], linear: list[FoldedLinear]) -> None:
        super().__init__()
        self.net, self.slots, self.norms, self.linear = net, slots, norms, linear

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Logits (K, classes, N), contiguous, of what `fold` made of images."""

    @abstractmethod
    def fold(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """The input of `forward`, in new memory, from images (K, N, C, H, W)."""

    @abstractmethod
    def width_of(self, trials: int) -> int:
        """Slots that a pack of so many of these trials has."""

    @abstractmethod
    def select(self, slots: Sequence[int]) -> None:
        """Keep some slots and forget the others; a slot may be kept twice. Parameters stay the same objects."""

    @abstractmethod
    def attributes(self) -> dict[str, Any]:
        """Plain data, by name, that the network changed since it was built and that is in no parameter or buffer."""

    @abstractmethod
    def put_attributes(self, values: Mapping[str, Any]) -> None:
        """Set the network's attributes to values that `attributes` returned."""

    def settle(self) -> None:
        """Bring the parameters and buffers, and the optimizer's state, up to date before something reads them.

        Only a pack that computes with numbers stored elsewhere has anything to do.
        """

    def reload(self) -> None:
        """Go on from the parameters and buffers, and from the optimizer's state, after something wrote into them."""

    def use_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note of the optimizer that updates the parameters."""

    @property
    def has_running_statistics(self) -> bool:
        """Whether evaluation under running and under batch statistics can differ."""
        return any(not norm.frozen for norm in self.norms)

    @property
    def needs_population(self) -> bool:
        """Whether the norms need the training images' statistics before the first training step."""
        return any(norm.frozen for norm in self.norms)

    def use_statistics(self, statistics: Statistics) -> None:
        """Choose the statistics that evaluation normalizes with; frozen norms always use their own."""
        for norm in self.norms:
            if not norm.frozen:
                norm.statistics = statistics

    def slot_state(self, slot: int) -> dict[str, Tensor]:
        """Slot k's state_dict, with the lone network's names and shapes."""
        state = {name: value[slot] for name, value in self.net.state_dict().items()}
        pixels = {f"{n}.weight": m for n, m in self.net.named_modules() if isinstance(m, FoldedPixelConv2d)}
        return state | {name: leaf.kernel(slot) for name, leaf in pixels.items()}

    def sizes(self) -> tuple[int, int]:
        """How many trainable parameters and running statistics each trial has."""
        state = self.slot_state(0)
        sizes = {name: state.pop(name).numel() for name, _ in self.net.named_parameters()}
        trainable = sum(sizes[name] for name, parameter in self.net.named_parameters() if parameter.requires_grad)
        return trainable, sum(value.numel() for value in state.values())

    def clear(self, slot: int) -> None:
        """Zero a slot's parameters and buffers, so that a diverged trial's NaNs cost no time."""
        with torch.no_grad():
            for value in (*self.net.parameters(), *self.net.buffers()):
                value[slot].zero_()


class FoldedPack(Pack):
    """K networks of equal shape folded into one that trains them all at once; made by `pack`.

    Args:
        nets: One a slot.
        pixels: Names of the conv layers to train as linear ones.

    Attributes:
        layout: How `forward` wants its images stored.
    """

    def __init__(self, nets: Sequence[nn.Module], pixels: Collection[str] = ()) -> None:
        for net in nets:
            _refuse_tied_and_frozen(net)
        folded = _fold(nets, "", pixels)
        linear = [leaf for leaf in folded.modules() if isinstance(leaf, FoldedLinear)]
        super().__init__(
            folded,
            len(nets),
            norms=[leaf for leaf in folded.modules() if isinstance(leaf, StatisticsNorm)],
            linear=[leaf for leaf in linear if not isinstance(leaf, FoldedStandardizedLinear)],
        )
        self.layout = Layout.channels_last if self._convs() else Layout.feature_major

    def forward(self, x: Tensor) -> Tensor:
        return trial_rows(self.net(x), self.slots)

    def fold(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        return fold_images(images, self.layout, dtype)  # (N, K*C, H, W)

    def _convs(self) -> list[FoldedConv2d | FoldedPixelConv2d]:
        return [leaf for leaf in self.net.modules() if isinstance(leaf, FoldedConv2d | FoldedPixelConv2d)]

    def width_of(self, trials: int) -> int:
        return aligned_width(trials, [leaf.weight.shape[1] for leaf in self._convs()])

    def select(self, slots: Sequence[int]) -> None:
        for value in (*self.net.parameters(), *self.net.buffers()):
            value.data = select_slots(value.data, slots)
            value.grad = None
        for layer in self.net.modules():
            if isinstance(layer, ChannelNorm | OneByOne):
                layer.select(slots)
        self.slots = len(slots)

    def attributes(self) -> dict[str, Any]:
        return {}  # a network that changes any is trained alone

    def put_attributes(self, values: Mapping[str, Any]) -> None:
        assert not values, "a folded network changes no attributes"


def pack(nets: Sequence[nn.Module], pixels: Collection[str] = ()) -> FoldedPack:
    """The networks as one, padded with copies of the last where the layout asks for more slots.

    Args:
        nets: One a trial.
        pixels: Names of the conv layers to train as linear ones, from `single_pixel_layers`; not with weight decay.

    Raises:
        UnpackableError: If a layer has no rule and cannot be called one by one, the networks differ in shape, or
            parameters are tied or frozen.
    """
    return FoldedPack(padded_with_last(nets), pixels)


def padded_with_last(nets: Sequence[nn.Module]) -> list[nn.Module]:
    """The networks, and the last one again where the layout asks for more slots."""
    channels = [leaf.out_channels for leaf in nets[0].modules() if isinstance(leaf, nn.Conv2d)]
    return [*nets, *[nets[-1]] * (aligned_width(len(nets), channels) - len(nets))]


def _fold(nets: Sequence[nn.Module], path: str, pixels: Collection[str]) -> nn.Module:
    first = nets[0]
    kinds = {type(net) for net in nets}
    if len(kinds) > 1:
        # A parametrized layer has a class of its own in every network.
        names = sorted({kind.__name__ for kind in kinds})
        raise UnpackableError(f"{path or 'the network'} differs in kind: {names}")
    rule = FoldedPixelConv2d if path in pixels else _rule(first)
    if rule is not None:
        return _by_rule(rule, nets)
    place = f"{path or 'the network'} ({type(first).__name__})"
    if is_called_one_by_one(first):
        if not path or any(isinstance(module, _NOT_ONE_BY_ONE) for module in first.modules()):
            what = "owns parameters or buffers beside its children" if first._modules else "is a leaf"
            raise UnpackableError(f"{place} {what}, and bnbench has no rule for it")
        return OneByOne(nets)
    if len({_structure(net) for net in nets}) > 1:
        raise UnpackableError(f"{place} differs within the pack in its children or settings")
    folded = copy.copy(first)
    folded._modules = {}
    for name, child in first._modules.items():
        children = [net._modules[name] for net in nets]
        child_path = f"{path}.{name}".lstrip(".")
        folded._modules[name] = (
            None if child is None else _fold([c for c in children if c is not None], child_path, pixels)
        )
    return folded


def _rule(module: nn.Module) -> Callable[[Sequence[Any]], nn.Module] | None:
    return RULES.get(type(module)) or getattr(type(module), "fold", None)


def is_called_one_by_one(module: nn.Module) -> bool:
    """Whether a module has no rule, and is more than its children and a forward that calls them."""
    if _rule(module) is not None:
        return False
    if not module._modules:
        return type(module) not in _CONTAINERS
    return bool(module._parameters or module._buffers)


def _structure(module: nn.Module) -> str:
    """All that a forward could branch on: which children exist, and the attributes that are plain values."""
    children = [(name, child is None) for name, child in module._modules.items()]
    plain = {name: v for name, v in vars(module).items() if isinstance(v, bool | int | float | str | None)}
    return repr((children, sorted(plain.items())))


def _by_rule(rule: Callable[[Sequence[Any]], nn.Module], leaves: Sequence[nn.Module]) -> nn.Module:
    try:
        return rule(leaves)
    except NormError as error:
        raise UnpackableError(str(error)) from error


def _refuse_tied_and_frozen(net: nn.Module) -> None:
    first_names: dict[int, str] = {}
    for name, parameter in net.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad:
            raise UnpackableError(f"{name} is frozen (requires_grad=False)")
        first_name = first_names.setdefault(id(parameter), name)
        if first_name != name:
            raise UnpackableError(f"{name} and {first_name} are one tied parameter")
