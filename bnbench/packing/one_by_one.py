"""A layer that a pack has no rule for: the K of a pack are called one after the other, each as it is called alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnbench.packing.holder import holder_of
from bnbench.tensors.memory_layout import stored, stored_grad


class OneByOne(nn.Module):
    """K layers of any class, each called on its own trial's channels; (N, K*C, …) in, (N, K*O, …) out.

    A layer gets what it gets in plain torch, in memory of its own: its input, its parameters and buffers, and the
    gradient of its output. So its bits depend on nothing else that is in the pack. It takes as long as alone; a pack
    with such layers saves the overhead of the others.

    Parameters and buffers have the lone layer's names and shape (K, …).

    Args:
        layers: One a slot; they stay the owners of whatever else they keep, which a training step must not change.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self._layers = [*layers]  # in a list, where torch does not register their parameters a second time
        first = layers[0]
        for name, parameter in first.named_parameters():
            values = torch.stack([layer.get_parameter(name).detach() for layer in layers])
            holder, own_name = holder_of(self, name)
            holder.register_parameter(own_name, nn.Parameter(values, parameter.requires_grad))
        persistent = first.state_dict().keys()
        for name, _ in first.named_buffers():
            values = torch.stack([layer.get_buffer(name) for layer in layers])
            holder, own_name = holder_of(self, name)
            holder.register_buffer(own_name, values, persistent=name in persistent)

    def forward(self, x: Tensor) -> Tensor:
        parameters = {name: stacked.unbind() for name, stacked in self.named_parameters()}
        buffers = dict(self.named_buffers())
        outputs = []
        for slot, channels in enumerate(stored_grad(x).chunk(len(self._layers), 1)):
            state = {name: _copy(rows[slot]) for name, rows in parameters.items()}
            state |= {name: _copy(stacked[slot]) for name, stacked in buffers.items()}
            output = torch.func.functional_call(self._layers[slot], state, (_copy(channels),), tie_weights=False)
            for name, stacked in buffers.items():  # which the layer may have written into, or replaced
                stacked[slot].copy_(state[name].detach())
            outputs.append(_with_gradient_of_its_own(output))
        return _side_by_side(outputs)

    def train(self, mode: bool = True) -> OneByOne:
        for layer in self._layers:
            layer.train(mode)
        return super().train(mode)

    def select(self, slots: Sequence[int]) -> None:
        """Call the layers of these slots from now on; whoever calls this selects parameters and buffers."""
        self._layers = [self._layers[slot] for slot in slots]


def _copy(x: Tensor) -> Tensor:
    # A kernel may take another path where memory is not aligned as a tensor of its own is.
    return x.clone(memory_format=torch.contiguous_format)


def _with_gradient_of_its_own(output: Tensor) -> Tensor:
    if output.requires_grad:
        output.register_hook(_copy)  # type: ignore[no-untyped-call]
    return output


def _side_by_side(outputs: Sequence[Tensor]) -> Tensor:
    """The outputs (N, C, …) of K trials as (N, K*C, …), stored as a pack stores activations."""
    if outputs[0].dim() == 2:
        return torch.cat([output.t() for output in outputs]).t()
    return stored(torch.cat([*outputs], 1))
