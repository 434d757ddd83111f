"""The base class of all norms: an affine, and channels that may belong to several trials."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from bnbench.tensors.memory_layout import feature_major, stored_grad

_MODULE_ATTRIBUTES = vars(nn.Module()).keys()  # those that every torch module has


class NormError(TypeError):
    """K norms that cannot be folded into one, and the reason."""


class ChannelNorm(nn.Module):
    """A norm of the C channels of one trial, or of the K * C channels of a pack of K trials.

    The same code serves both. For one trial, parameters and buffers have shape (C,) and `trials` is 1; `fold` makes
    the norm of a pack, in which they have shape (K, C).

    Args:
        features: Channels C of one trial.
        eps: Added to what the norm divides by; where exactly, the subclass says.
        affine: Whether to learn `weight` (gamma) and `bias` (beta), each of shape (C,).

    Attributes:
        per_trial: Names of the settings that may differ between the trials of a pack: tuples of one value per trial. In
            all other attributes the trials of a pack agree; whatever changes in training must be a buffer.

    Shape:
        (N, C) or (N, C, H, W), and the same out; K * C channels if folded.
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
        """One norm on K * C channels that does what these K norms do on C channels each.

        Raises:
            NormError: If they differ in a setting that is not in `per_trial`, or hold layers, or tensors that are
                neither parameters nor buffers.
        """
        first = norms[0]
        if first._modules:
            raise NormError(f"{cls.__name__} holds layers, {', '.join(first._modules)}, which cannot be folded")
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
        """Keep the settings of these slots of a folded norm; the pack itself selects parameters and buffers."""
        self.trials = len(slots)
        for name in self.per_trial:
            values = getattr(self, name)
            setattr(self, name, tuple(values[slot] for slot in slots))

    def _settings(self) -> dict[str, object]:
        """The attributes in which the trials of a pack must agree, private ones included."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in _MODULE_ATTRIBUTES and name not in self.per_trial and name != "trials"
        }

    def rows(self, x: Tensor) -> Tensor:
        """The input as contiguous (K*C, N, P), with P = H * W positions, or 1 for a 2-D input.

        So every sum of a norm runs over the contiguous memory of one channel, in an order that does not depend on the
        number of trials. Over channels_last memory the order would depend on it.
        """
        if x.dim() == 2:
            return feature_major(x).unsqueeze(2)
        return stored_grad(x).transpose(0, 1).contiguous().flatten(2)

    def from_rows(self, rows: Tensor, like: Tensor) -> Tensor:
        """Rows (K*C, N, P) in the shape of the input `like`, stored as a pack stores activations."""
        rows = stored_grad(rows)
        if like.dim() == 2:
            return rows.squeeze(2).t()
        N, C, H, W = like.shape
        return rows.view(C, N, H, W).transpose(0, 1).contiguous(memory_format=torch.channels_last)

    def scale_and_shift(self, rows: Tensor) -> Tensor:
        """`weight * rows + bias` per channel, for rows (K*C, N, P); the same rows without an affine."""
        if self.weight is not None:
            rows = rows * self.weight.view(-1, 1, 1)
        return rows if self.bias is None else rows + self.bias.view(-1, 1, 1)

    def extra_repr(self) -> str:
        return f"{self.features}, eps={self.eps:g}, affine={self.weight is not None}"


def _stack(tensors: Sequence[Tensor | None]) -> Tensor:
    return torch.stack([tensor.detach() for tensor in tensors if tensor is not None])
