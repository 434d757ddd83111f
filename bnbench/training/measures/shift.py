"""Internal covariate shift: how much a layer's gradient changes because the layers below it were updated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnbench.training.measures.gradients import norms


def internal_covariate_shift(before: Sequence[Tensor], after: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """‖G - G'‖ and the cosine between G and G', each (K,), mean over layers.

    G is the gradient of a batch's loss by the layer's weights where training stands, G' that of the same batch after
    a step of the layers below, and of them alone:

        G_i  = ∇_{W_i} L(W_1(t), …, W_{i-1}(t), W_i(t), …, W_k(t))
        G_i' = ∇_{W_i} L(W_1(t+1), …, W_{i-1}(t+1), W_i(t), …, W_k(t))

    Args:
        before: G by layer, (K, …).
        after: G' of the same layers.

    References:
        Santurkar, Tsipras, Ilyas & Madry (2018), arXiv:1805.11604, definition 2.1.
    """
    products = [(g.flatten(1).double() * h.flatten(1).double()).sum(1) for g, h in zip(before, after, strict=True)]
    cosine = torch.stack(products, 1) / (norms(before) * norms(after))
    distance = norms([h - g for g, h in zip(before, after, strict=True)])
    return distance.mean(1), cosine.mean(1)
