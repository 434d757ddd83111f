"""Batch norm written out with the low-level functions, which `norm.impl=manual` trains."""

from __future__ import annotations

import torch
from torch import Tensor

from bnbench.norms.batch import BatchNorm
from bnbench.norms.functional import batch_normalization, moments


class ManualBatchNorm(BatchNorm):
    """`BatchNorm` from `moments` and `batch_normalization` alone, its gradient from autograd.

    It is the layer that tutorials write by hand: it keeps population statistics beside the parameters; in training it
    normalizes with the batch's moments and moves the population statistics towards them, in inference it uses those.
    It shares no kernel with the native layer, and agrees with it up to rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        over_batch = self._uses_batch_statistics()
        if over_batch and x.numel() == x.shape[1]:
            return self._single_value(x)
        rows = self.rows(x)  # (K*C, N, P)
        values = rows.flatten(1)
        if over_batch:
            mean, var = moments(values, 1, keepdims=True)
        else:
            mean, var = (statistic.unsqueeze(1) for statistic in self.evaluation_statistics())
        if self.training and len(x):
            with torch.no_grad():
                self.blend(mean, var, values.shape[1], self._blends_unbiased(x, values.shape[1]))
        offset = None if self.bias is None else self.bias.view(-1, 1)
        scale = None if self.weight is None else self.weight.view(-1, 1)
        y = batch_normalization(values, mean, var, offset, scale, self.eps)
        return self.from_rows(y.view_as(rows), x)
