"""Weight standardization: linear and conv layers whose weights are standardized before use."""

from __future__ import annotations

from torch import Tensor, nn

from bnbench.norms.standardize import standardize

WEIGHT_EPS = 1e-5


def standardized(rows: Tensor) -> Tensor:
    """(w - mean) / sqrt(var + eps) of each row: the weights that feed one output, shape (outputs, fan-in).

    The variance's divisor is the fan-in. Any norm may follow; without one the outputs' scale is that of the
    inputs times sqrt(fan-in).

    References:
        Qiao, Wang, Liu, Shen & Yuille (2019), arXiv:1903.10520.
    """
    return standardize(rows, _over_fan_in, WEIGHT_EPS)[0]


def _over_fan_in(rows: Tensor) -> Tensor:
    return rows.mean(1, keepdim=True)


class StandardizedLinear(nn.Linear):
    """`nn.Linear` that multiplies with its standardized weight; the bias is left alone."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, standardized(self.weight), self.bias)


class StandardizedConv2d(nn.Conv2d):
    """`nn.Conv2d` that convolves with its standardized weight; the bias is left alone."""

    def forward(self, x: Tensor) -> Tensor:
        weight = standardized(self.weight.flatten(1)).view_as(self.weight)
        convolved: Tensor = self._conv_forward(x, weight, self.bias)
        return convolved
