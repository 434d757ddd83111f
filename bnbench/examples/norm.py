"""A norm layer of one's own: `norm=custom norm.factory=bnbench.examples.norm:max_norm`."""

from __future__ import annotations

from torch import Tensor, nn

from bnbench.config import NormConfig
from bnbench.norms import ChannelNorm


class MaxNorm(ChannelNorm):
    """y = weight * x / (max |x| + eps) + bias, with the maximum over the batch and positions, per channel.

    Its channels may be those of several trials: that is all a norm needs to be trained in packs. `removes_shift` says
    whether a bias before it cancels (`model.bias=auto` asks), `over_batch` whether it makes a single value a constant.
    """

    removes_shift = False
    over_batch = True

    def __init__(self, features: int, *, eps: float, affine: bool) -> None:
        super().__init__(features, eps=eps, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x)  # (K*C, N, P)
        largest = rows.abs().amax((1, 2), keepdim=True)
        return self.from_rows(self.scale_and_shift(rows / (largest + self.eps)), x)


def max_norm(features: int, norm: NormConfig) -> nn.Module:
    """The layer for so many channels. A norm is a function of them and of the `norm` section."""
    return MaxNorm(features, eps=norm.eps or 1e-5, affine=norm.affine)


def two_norms(features: int, norm: NormConfig) -> nn.Module:
    """Batch norm, then layer norm: plain torch layers; a pack calls those that it has no rule for one by one."""
    return nn.Sequential(nn.BatchNorm1d(features), nn.LayerNorm(features))
