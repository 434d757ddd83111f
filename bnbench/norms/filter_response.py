"""Filter response normalization with its thresholded linear unit, without any statistics over a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnbench.norms.channel_norm import ChannelNorm


class FilterResponseNorm(ChannelNorm):
    """y = max(weight * x / sqrt(nu2 + eps + |learned_eps|) + bias, threshold), with nu2 = mean(x²) of a channel.

    nu2 is the mean over the positions of one example. On a single position the norm would be x / |x|, so a part of eps
    is learned, starting from 1e-4, as in the paper's fully connected layers. Here that is so on larger maps too, where
    the paper has the fixed part alone. The threshold starts at 0, as in the code that Google Research published, so
    that the layer starts as a norm with a ReLU after it.

    Args:
        features: Channels C.
        eps: The fixed part of the eps that is added to nu2.
        affine: Whether to learn `weight` and `bias`; the threshold is always learned.

    References:
        Singh & Krishnan (2020), arXiv:1911.09737, sections 3.1 and 3.2.
    """

    def __init__(self, features: int, *, eps: float = 1e-6, affine: bool = True) -> None:
        super().__init__(features, eps=eps, affine=affine)
        self.learned_eps = nn.Parameter(torch.full((features,), 1e-4))
        self.threshold = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x)  # (K*C, N, P)
        nu2 = rows.square().mean(2, keepdim=True)
        eps = self.eps + self.learned_eps.abs().view(-1, 1, 1)
        y = self.scale_and_shift(rows * torch.rsqrt(nu2 + eps))
        return self.from_rows(torch.maximum(y, self.threshold.view(-1, 1, 1)), x)
