"""Ghost batch normalization: batch norm over each part of a batch, as if the parts were several small batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bnbench.norms.batch import BatchNorm
from bnbench.norms.standardize import standardize


class GhostBatchNorm(BatchNorm):
    """Batch norm that in training normalizes each `ghost_size` consecutive examples with their own mean and variance.

    The statistics of the parts are blended into the running ones one after the other. Evaluation is that of batch
    norm.

    Args:
        features: Channels C.
        ghost_size: Examples in a part; it must divide the training batch size.
        settings: The keyword arguments of `BatchNorm`.

    References:
        Hoffer, Hubara & Soudry (2017), arXiv:1705.08741, algorithm 1.
    """

    def __init__(self, features: int, *, ghost_size: int, **settings: Any) -> None:
        super().__init__(features, **settings)
        self.ghost_size = ghost_size

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x)  # (K*C, N, P)
        values = self.ghost_size * rows.shape[2]
        if not self.training:
            return super().forward(x)
        if values == 1 and not self.constant:
            raise ValueError(
                f"ghost batches of one value per channel, input {tuple(x.shape)}, are constants; "
                "set norm.single_value=constant to train them all the same"
            )
        y, mean, var = standardize(rows.view(len(rows), -1, values), _mean_of_part, self.eps)
        with torch.no_grad():
            for part in range(mean.shape[1]):
                self.blend(mean[:, part], var[:, part], values, self._blends_unbiased(x, values))
        return self.from_rows(self.scale_and_shift(y.view_as(rows)), x)


def _mean_of_part(parts: Tensor) -> Tensor:
    return parts.mean(2, keepdim=True)
