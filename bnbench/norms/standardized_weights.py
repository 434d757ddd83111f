"""Weight standardization: linear and conv layers whose weights are standardized before use."""

from __future__ import annotations

from torch import Tensor, nn

from bnbench.norms.standardize import standardize

WEIGHT_EPS = 1e-5


def standardized(rows: Tensor) -> Tensor:
    """(w - mean) / sqrt(var + eps) for each row, the weights of one output; shape (outputs, fan-in).

    The divisor of the variance is the fan-in. Any norm may follow; without one the outputs have the scale of the
    inputs times sqrt(fan-in).

    References:
        Qiao, Wang, Liu, Shen & Yuille (2019), arXiv:1903.10520.
    """
    return standardize(rows, _mean_over_fan_in, WEIGHT_EPS)[0]


def _mean_over_fan_in(rows: Tensor) -> Tensor:
    return rows.mean(1, keepdim=True)


class StandardizedLinear(nn.Linear):
    """`nn.Linear` that multiplies by its standardized weight; the bias is not standardized."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, standardized(self.weight), self.bias)


class StandardizedConv2d(nn.Conv2d):
    """`nn.Conv2d` that convolves with its standardized weight; the bias is not standardized."""

    def forward(self, x: Tensor) -> Tensor:
        weight = standardized(self.weight.flatten(1)).view_as(self.weight)
        y: Tensor = self._conv_forward(x, weight, self.bias)
        return y
