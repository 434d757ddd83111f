"""How large the gradient is, layer by layer, and how that changes with depth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def norms(values: Sequence[Tensor]) -> Tensor:
    """Euclidean norms of tensors (K, …), each trial's by itself, shape (K, L), float64."""
    return torch.stack([torch.linalg.vector_norm(v.flatten(1), dim=1, dtype=torch.float64) for v in values], 1)


def total_norm(values: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all of them together, shape (K,), float64."""
    norm: Tensor = torch.linalg.vector_norm(norms(values), dim=1)
    return norm


def log10_slope(sizes: Tensor) -> Tensor:
    """Least-squares slope of log10(size) over the layers, in decades a layer, shape (K,).

    Negative where sizes shrink towards the output, as gradients do that explode on their way back; positive where
    they vanish. Not finite if a layer's size is 0.

    Args:
        sizes: (K, L) with L >= 2 layers, from the input on.
    """
    logs = torch.log10(sizes)
    layer = torch.arange(logs.shape[1], dtype=logs.dtype, device=logs.device)
    layer = layer - layer.mean()
    return (logs * layer).sum(1) / layer.square().sum()
