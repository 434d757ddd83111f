"""A network that is trained alone, in the clothes of a pack: so there is one way to train."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnbench.layout import Layout, trial_rows
from bnbench.norms.batch import BatchNorm
from bnbench.packing.pack import Pack
from bnbench.seeding import generator

__all__ = ["Lone"]


class Lone(Pack):
    """One network in the only slot; it computes as plain torch does, whatever is in it.

    Parameters and buffers have shape (1, …), as a pack's; the network works on their only row. Numbers that its
    forward draws from torch's global generator depend on the seed and the step.

    Args:
        net: The network, on the device where it is trained.
        seed: The trial's.
    """

    steps: Tensor

    def __init__(self, net: nn.Module, seed: int) -> None:
        nn.Module.__init__(self)
        self.slots = 1
        self.layout = Layout.channels_last
        self.linear = []
        self.norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
        self.net = _rows(net)
        self.register_buffer("steps", torch.zeros(1), persistent=False)
        self._seed = seed
        self._alone = [net]  # in a list: its own parameters are not to be trained

    def forward(self, x: Tensor) -> Tensor:
        [net] = self._alone
        rows = {name: parameter[0] for name, parameter in self.net.named_parameters()}
        with torch.random.fork_rng(enabled=self.training):
            if self.training:
                torch.manual_seed(generator(self._seed, "forward", int(self.steps)).initial_seed())
                self.steps += 1
            return trial_rows(torch.func.functional_call(net, rows, (x,)), 1)

    def train(self, mode: bool = True) -> Lone:
        super().train(mode)
        self._alone[0].train(mode)
        return self

    def fold(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        return images[0].to(dtype, copy=True)

    def width_of(self, trials: int) -> int:
        return trials

    def select(self, slots: Sequence[int]) -> None:
        assert [*slots] == [0], "there is one slot"


def _rows(net: nn.Module) -> nn.Module:
    """Modules that hold the network's parameters and buffers as (1, …), under its names; its buffers become views."""
    rows = nn.Module()
    for name, parameter in net.named_parameters():
        holder, own = _holder(rows, name)
        holder.register_parameter(own, nn.Parameter(parameter.detach().unsqueeze(0).clone()))
    persistent = net.state_dict().keys()
    for path, module in net.named_modules():
        for own, buffer in module.named_buffers(recurse=False):
            name = f"{path}.{own}".lstrip(".")
            holder, _ = _holder(rows, name)
            row = buffer.unsqueeze(0).clone()
            holder.register_buffer(own, row, persistent=name in persistent)
            module._buffers[own] = row[0]
    return rows


def _holder(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that a dotted name lies in, made where there is none, and the name's last part."""
    *path, own = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    return root, own
