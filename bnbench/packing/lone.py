"""A network that cannot be packed, as a pack of one slot: so there is one way to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.norms.statistics_norm import StatisticsNorm
from bnbench.packing import attributes
from bnbench.packing.pack import Pack
from bnbench.tensors.memory_layout import trial_rows
from bnbench.tensors.seeding import derive, reseed


class LonePack(Pack):
    """One network in the only slot; it computes as plain torch does, whatever is in it.

    Parameters and buffers have shape (1, …), as a pack's; the network works on their only row, and a buffer that its
    forward assigns anew is copied there. Numbers that its forward draws from a global generator depend on the seed and
    the step, and while evaluating also on how many passes there were since that step; the generator is left there.

    Args:
        net: The network, on the device where it is trained.
        seed: The trial's.
    """

    steps: Tensor

    def __init__(self, net: nn.Module, seed: int) -> None:
        rows, views = _rows(net)
        norms = [module for module in net.modules() if isinstance(module, StatisticsNorm)]
        super().__init__(rows, 1, norms, linear=[])
        self._views = views
        self.register_buffer("steps", torch.zeros(1), persistent=False)
        self._seed = seed
        self._evaluated = 0
        self._alone = [net]  # in a list: its own parameters are not to be trained
        self._made_with = attributes.look(net, self._views)

    def forward(self, x: Tensor) -> Tensor:
        [net] = self._alone
        rows = {name: parameter[0] for name, parameter in self.net.named_parameters()}
        reseed(self._next_seed())
        logits = torch.func.functional_call(net, rows, (x,))
        self._hold_assigned_buffers()
        return trial_rows(logits, 1)

    def _next_seed(self) -> int:
        step = int(self.steps)
        if self.training:
            self.steps += 1
            self._evaluated = 0
            return self.training_seed(self._seed, step)
        self._evaluated += 1
        return self.evaluation_seed(self._seed, step, self._evaluated)

    @staticmethod
    def training_seed(seed: int, step: int) -> int:
        """What a step's draws start from."""
        return derive(seed, "forward", step)

    @staticmethod
    def evaluation_seed(seed: int, steps: int, passes: int) -> int:
        """Those of an evaluating pass, the first, second … after so many steps."""
        return derive(seed, "evaluation", steps, passes)

    def _hold_assigned_buffers(self) -> None:
        for (module, name), row in self._views.items():
            value = module._buffers[name]
            if value is not row and value is not None and value.shape == row.shape and value.dtype == row.dtype:
                with torch.no_grad():
                    row.copy_(value)
                module._buffers[name] = row

    def attributes(self) -> dict[str, Any]:
        return attributes.kept(self._made_with, self._look())

    def lost_attributes(self) -> list[str]:
        """What the network changed since it was made and no checkpoint can hold, each with its kind."""
        return attributes.lost(self._made_with, self._look())

    def _look(self) -> dict[str, Any]:
        [net] = self._alone
        return attributes.look(net, {at for at, row in self._views.items() if at[0]._buffers[at[1]] is row})

    def put_attributes(self, values: Mapping[str, Any]) -> None:
        attributes.put(self._alone[0], values)

    def train(self, mode: bool = True) -> LonePack:
        super().train(mode)
        self._alone[0].train(mode)
        return self

    def fold(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        return images[0].to(dtype, copy=True)

    def width_of(self, trials: int) -> int:
        return trials

    def select(self, slots: Sequence[int]) -> None:
        assert [*slots] == [0], "there is one slot"


def _rows(net: nn.Module) -> tuple[nn.Module, dict[tuple[nn.Module, str], Tensor]]:
    """Modules that hold the network's parameters and buffers as (1, …), under its names; its buffers become views.

    These views are what comes second, by their modules and names.
    """
    rows = nn.Module()
    views: dict[tuple[nn.Module, str], Tensor] = {}
    for name, parameter in net.named_parameters():
        holder, own = _holder(rows, name)
        row = parameter.detach().unsqueeze(0).clone()
        holder.register_parameter(own, nn.Parameter(row, parameter.requires_grad))
    persistent = net.state_dict().keys()
    for path, module in net.named_modules():
        for own, buffer in module.named_buffers(recurse=False):
            name = f"{path}.{own}".lstrip(".")
            holder, _ = _holder(rows, name)
            row = buffer.unsqueeze(0).clone()
            holder.register_buffer(own, row, persistent=name in persistent)
            module._buffers[own] = views[module, own] = row[0]
    return rows, views


def _holder(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that a dotted name lies in, made where there is none, and the name's last part."""
    *path, own = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    return root, own
