"""A network that cannot be packed, as a pack of one slot, so that all networks are trained in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.norms.statistics_norm import StatisticsNorm
from bnbench.packing import attributes
from bnbench.packing.holder import holder_of
from bnbench.packing.pack import Pack
from bnbench.tensors.memory_layout import trial_rows
from bnbench.tensors.seeding import derive, reseed


class LonePack(Pack):
    """One network in the only slot; it computes what it computes in plain torch, whatever modules it has.

    Parameters and buffers have shape (1, …), as in any pack. The network computes with their only row; where its
    forward assigns a new tensor to a buffer, the tensor is copied into that row. What its forward draws from a global
    generator depends on the seed and the step, and while evaluating also on the number of forward passes since that
    step. The state of the global generator is not put back afterwards.

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
        self._net_in_list = [net]  # in a list, where torch does not register its parameters a second time
        self._initial_attributes = attributes.snapshot(net, self._views)

    def forward(self, x: Tensor) -> Tensor:
        [net] = self._net_in_list
        rows = {name: parameter[0] for name, parameter in self.net.named_parameters()}
        reseed(self._next_seed())
        logits = torch.func.functional_call(net, rows, (x,))
        self._copy_assigned_buffers()
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
        """The seed of the global generators for one training step."""
        return derive(seed, "forward", step)

    @staticmethod
    def evaluation_seed(seed: int, steps: int, passes: int) -> int:
        """The seed of the global generators for an evaluating forward pass: the first, second … after so many steps."""
        return derive(seed, "evaluation", steps, passes)

    def _copy_assigned_buffers(self) -> None:
        for (module, name), row in self._views.items():
            value = module._buffers[name]
            if value is not row and value is not None and value.shape == row.shape and value.dtype == row.dtype:
                with torch.no_grad():
                    row.copy_(value)
                module._buffers[name] = row

    def attributes(self) -> dict[str, Any]:
        return attributes.saveable_changes(self._initial_attributes, self._snapshot())

    def unsaveable_attributes(self) -> list[str]:
        """The attributes that the network changed since it was built and no checkpoint can hold."""
        return attributes.unsaveable_changes(self._initial_attributes, self._snapshot())

    def _snapshot(self) -> dict[str, Any]:
        [net] = self._net_in_list
        return attributes.snapshot(
            net, {place for place, row in self._views.items() if place[0]._buffers[place[1]] is row}
        )

    def put_attributes(self, values: Mapping[str, Any]) -> None:
        attributes.restore(self._net_in_list[0], values)

    def train(self, mode: bool = True) -> LonePack:
        super().train(mode)
        self._net_in_list[0].train(mode)
        return self

    def fold(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        return images[0].to(dtype, copy=True)

    def width_of(self, trials: int) -> int:
        return trials

    def select(self, slots: Sequence[int]) -> None:
        assert [*slots] == [0], "there is one slot"


def _rows(net: nn.Module) -> tuple[nn.Module, dict[tuple[nn.Module, str], Tensor]]:
    """Modules that hold the network's parameters and buffers as (1, …) under its names, and views of the buffers' rows.

    The network's buffers are replaced by these views, which are returned by the buffer's module and name.
    """
    rows = nn.Module()
    views: dict[tuple[nn.Module, str], Tensor] = {}
    for name, parameter in net.named_parameters():
        holder, leaf_name = holder_of(rows, name)
        row = parameter.detach().unsqueeze(0).clone()
        holder.register_parameter(leaf_name, nn.Parameter(row, parameter.requires_grad))
    persistent = net.state_dict().keys()
    for path, module in net.named_modules():
        for leaf_name, buffer in module.named_buffers(recurse=False):
            name = f"{path}.{leaf_name}".lstrip(".")
            holder, _ = holder_of(rows, name)
            row = buffer.unsqueeze(0).clone()
            holder.register_buffer(leaf_name, row, persistent=name in persistent)
            module._buffers[leaf_name] = views[module, leaf_name] = row[0]
    return rows, views
