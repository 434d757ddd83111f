"""Norms over parts of one example: group, layer and instance norm, and RMS norm, which does not center."""

from __future__ import annotations

from torch import Tensor

from bnbench.norms.channel_norm import ChannelNorm
from bnbench.norms.standardize import standardize


class GroupNorm(ChannelNorm):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, with mean and var over one example's group of channels.

    The same while training and evaluating: no example sees another. `var` divides by the number of values.

    Args:
        features: Channels C.
        groups: Groups of C / groups channels, each normalized over its channels and positions.
        eps: Added to the variance.
        affine: Whether to learn `weight` and `bias`, each of shape (C,).

    Raises:
        ValueError: If the groups do not divide the channels.

    References:
        Wu & He (2018), arXiv:1803.08494.
    """

    centered = True

    def __init__(self, features: int, *, groups: int, eps: float = 1e-5, affine: bool = True) -> None:
        if features % groups:
            raise ValueError(f"norm.groups={groups} does not divide the {features} channels of a layer")
        super().__init__(features, eps=eps, affine=affine)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x)  # (K*C, N, P)
        grouped = (-1, self.features // self.groups, *rows.shape[1:])  # (K*G, C/G, N, P)
        y, _, _ = standardize(rows.view(grouped), _over_group, self.eps, centered=self.centered)
        return self.from_rows(self.scale_and_shift(y.view_as(rows)), x)


def _over_group(parts: Tensor) -> Tensor:
    """Positions first, along their memory, then channels."""
    return parts.mean(3, keepdim=True).mean(1, keepdim=True)


class LayerNorm(GroupNorm):
    """Group norm with one group: over all of an example's channels and positions.

    The affine is per channel, also for images (PyTorch's `nn.LayerNorm` would have one per position too).

    References:
        Ba, Kiros & Hinton (2016), arXiv:1607.06450.
    """

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(features, groups=1, eps=eps, affine=affine)


class InstanceNorm(GroupNorm):
    """Group norm with a group for each channel: over one example's positions.

    References:
        Ulyanov, Vedaldi & Lempitsky (2016), arXiv:1607.08022.
    """

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(features, groups=features, eps=eps, affine=affine)


class RMSNorm(LayerNorm):
    """y = weight * x / sqrt(mean(x²) + eps) + bias, over all of an example's channels and positions.

    Layer norm without its centering. The paper has no eps and its authors' code 1e-8; `norm.eps` is by default that
    of the preset's framework: 2**-23 (torch's for float32) or 1e-6 (Keras').

    References:
        Zhang & Sennrich (2019), arXiv:1910.07467.
    """

    centered = False
