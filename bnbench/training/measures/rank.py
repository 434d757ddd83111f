"""How many directions a layer's features really use."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_rank(features: Tensor) -> Tensor:
    """tr(M)² / ‖M‖_F² with M = H Hᵀ, between 1 and the rank of H, (K,).

    It counts directions by their weight: C equal eigenvalues of M give C, one that outweighs all others 1. The
    features are not centered, so their mean is a direction too.

    Args:
        features: H, (K, C, n): C features of n images.

    References:
        Daneshmand, Kohler, Bach, Hofmann & Lucchi (2020), arXiv:2003.01652.
    """
    rows = features.double()
    gram = torch.bmm(rows, rows.transpose(1, 2))
    trace = gram.diagonal(dim1=1, dim2=2).sum(1)
    return trace.square() / gram.flatten(1).square().sum(1)
