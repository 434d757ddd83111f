"""Norms over parts of one example: group, layer and instance norm, and RMS norm, which subtracts no mean."""

from __future__ import annotations

from torch import Tensor

from bnbench.norms.channel_norm import ChannelNorm
from bnbench.norms.standardize import standardize


class GroupNorm(ChannelNorm):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, with mean and var over one example's group of channels.

    It does the same in training and evaluation: no example depends on another. `var` has divisor N.

    Args:
        features: Channels C.
        groups: How many groups of C / groups channels there are, each normalized over its channels and positions.
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
        y, _, _ = standardize(rows.view(grouped), _mean_of_group, self.eps, centered=self.centered)
        return self.from_rows(self.scale_and_shift(y.view_as(rows)), x)


def _mean_of_group(parts: Tensor) -> Tensor:
    """The mean of each group, (K*G, 1, N, 1): first over positions, which are contiguous, then over channels."""
    return parts.mean(3, keepdim=True).mean(1, keepdim=True)


class LayerNorm(GroupNorm):
    """Group norm with one group, over all channels and positions of an example.

    The affine is per channel, also for images (PyTorch's `nn.LayerNorm` would have one per position too).

    References:
        Ba, Kiros & Hinton (2016), arXiv:1607.06450.
    """

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(features, groups=1, eps=eps, affine=affine)


class InstanceNorm(GroupNorm):
    """Group norm with a group for each channel, over the positions of an example.

    References:
        Ulyanov, Vedaldi & Lempitsky (2016), arXiv:1607.08022.
    """

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(features, groups=features, eps=eps, affine=affine)


class RMSNorm(LayerNorm):
    """y = weight * x / sqrt(mean(x²) + eps) + bias, over all channels and positions of an example.

    It is layer norm without subtracting the mean. The paper has no eps, its authors' code has 1e-8. The default of
    `norm.eps` is that of the preset's framework: 2**-23 (torch for float32) or 1e-6 (Keras).

    References:
        Zhang & Sennrich (2019), arXiv:1910.07467.
    """

    centered = False
