"""What every norm shares: an affine, and channels that may belong to several trials."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from bnbench.tensors.memory_layout import feature_major, stored_grad

_OF_MODULES = vars(nn.Module()).keys()


class NormError(TypeError):
    """Norms that cannot be one norm for K trials, and why."""


class ChannelNorm(nn.Module):
    """A norm whose C channels are one trial's, or K * C channels those of K trials.

    The same code serves both. Alone, parameters and buffers have shape (C,) and `trials` is 1; `fold` makes
    the norm of a pack, where they have shape (K, C).

    Args:
        features: Channels C of one trial.
        eps: Added where the norm divides; its place is the subclass's.
        affine: Whether to learn `weight` (gamma) and `bias` (beta), each of shape (C,).

    Attributes:
        per_trial: Names of settings of which each trial of a pack has its own: tuples with a value a trial. In all
            other attributes the trials of a pack agree; what changes while training is a buffer.

    Shape:
        (N, C) or (N, C, H, W), and the same out; K * C channels where folded.
    """

    per_trial: ClassVar[tuple[str, ...]] = ()
    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, features: int, *, eps: float, affine: bool) -> None:
        super().__init__()
        self.features = features
        self.eps = eps
        self.trials = 1
        self.register_parameter("weight", nn.Parameter(torch.ones(features)) if affine else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(features)) if affine else None)

    @classmethod
    def fold(cls, norms: Sequence[Self]) -> Self:
        """K norms as one on K * C channels; each keeps its parameters, buffers and per-trial settings.

        Raises:
            NormError: If they differ in a setting that one norm has but once, or hold what cannot be folded: layers, or
                tensors that are neither parameters nor buffers.
        """
        first = norms[0]
        if first._modules:
            raise NormError(
                f"{cls.__name__} holds layers of its own, {', '.join(first._modules)}, which fold does not see"
            )
        if len({(norm.weight is None, norm.bias is None) for norm in norms}) > 1:
            raise NormError(f"some {cls.__name__} of the pack have an affine and some have none")
        for name, value in first._settings().items():
            if hasattr(value, "__array__"):
                raise NormError(
                    f"{cls.__name__}.{name} is a tensor in a plain attribute; make it a buffer (register_buffer)"
                )
            values = {repr(norm._settings()[name]) for norm in norms}
            if len(values) > 1:
                raise NormError(f"{cls.__name__}.{name} differs within the pack: {sorted(values)}, {value!r} first")
        folded = copy.copy(first)
        folded.trials = len(norms)
        folded._parameters = {
            name: None if p is None else nn.Parameter(_stack([norm._parameters[name] for norm in norms]))
            for name, p in first._parameters.items()
        }
        folded._buffers = {name: _stack([norm._buffers[name] for norm in norms]) for name in first._buffers}
        for name in cls.per_trial:
            setattr(folded, name, tuple(value for norm in norms for value in getattr(norm, name)))
        return folded

    def select(self, slots: Sequence[int]) -> None:
        """Keep the settings of some slots of a fold; parameters and buffers are for the pack to select."""
        self.trials = len(slots)
        for name in self.per_trial:
            values = getattr(self, name)
            setattr(self, name, tuple(values[slot] for slot in slots))

    def _settings(self) -> dict[str, object]:
        """What the trials of a pack must agree on, private attributes included."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in _OF_MODULES and name not in self.per_trial and name != "trials"
        }

    def rows(self, x: Tensor) -> Tensor:
        """The input by channel, contiguous (K*C, N, P) with P = H * W positions, 1 for a 2-D input.

        In this order every sum of a norm runs along one channel's own memory, in an order that does not depend
        on how many trials there are; over channels_last memory it does.
        """
        if x.dim() == 2:
            return feature_major(x).unsqueeze(2)
        return stored_grad(x).transpose(0, 1).contiguous().flatten(2)

    def from_rows(self, rows: Tensor, like: Tensor) -> Tensor:
        """Rows in the shape and storage of the input they came from."""
        rows = stored_grad(rows)
        if like.dim() == 2:
            return rows.squeeze(2).t()
        N, C, H, W = like.shape
        return rows.view(C, N, H, W).transpose(0, 1).contiguous(memory_format=torch.channels_last)

    def scale_and_shift(self, rows: Tensor) -> Tensor:
        """`weight * rows + bias`, per channel, without what the norm does not have."""
        if self.weight is not None:
            rows = rows * self.weight.view(-1, 1, 1)
        return rows if self.bias is None else rows + self.bias.view(-1, 1, 1)

    def extra_repr(self) -> str:
        return f"{self.features}, eps={self.eps:g}, affine={self.weight is not None}"


def _stack(tensors: Sequence[Tensor | None]) -> Tensor:
    return torch.stack([tensor.detach() for tensor in tensors if tensor is not None])
