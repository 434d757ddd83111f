"""Online normalization: it uses statistics of the examples seen so far, so that the batch size does not matter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bnbench.norms.channel_norm import ChannelNorm


class OnlineNorm(ChannelNorm):
    """y = clamp(weight * (x - mean) / sqrt(var + eps) + bias), with statistics of the examples before x.

    The examples of a batch are taken one after the other, then those of the next batch: a batch of N gives what N
    batches of one would give under the same weights. After each example, which has mean m and variance v over its
    positions (v = 0 on one position):

        var  <- a * var + (1 - a) * v + a * (1 - a) * (m - mean)²
        mean <- a * mean + (1 - a) * m

    Here a is `decay_forward`. To autograd the statistics are constants. Batch norm's gradient has no component along 1
    and along y; here two integrators per channel take these out over time instead (b is `decay_backward`):

        g' = g - (1 - b) * e_y * y                   e_y <- e_y + mean(g' * y)
        dx = g' / sqrt(var + eps) - (1 - b) * e_1    e_1 <- e_1 + mean(dx)

    Evaluation uses the statistics as they are. The norm is defined at batch size 1.

    Args:
        features: Channels C.
        decay_forward: The weight a of the old statistics after one example, in [0, 1].
        decay_backward: The weight b in the integrators of the gradient, in [0, 1].
        eps: Added to the variance.
        affine: Whether to learn `weight` and `bias`.
        clamp: The largest absolute output. It limits outputs while the statistics are far from the activations.

    References:
        Chiley et al. (2019), arXiv:1905.05894, section 3.
    """

    running_mean: Tensor
    running_var: Tensor
    error_along_y: Tensor
    error_along_one: Tensor

    def __init__(
        self,
        features: int,
        *,
        decay_forward: float = 0.999,
        decay_backward: float = 0.99,
        eps: float = 1e-5,
        affine: bool = True,
        clamp: float = 5.0,
    ) -> None:
        super().__init__(features, eps=eps, affine=affine)
        self.decay_forward = decay_forward
        self.decay_backward = decay_backward
        self.clamp = clamp
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("error_along_y", torch.zeros(features), persistent=False)
        self.register_buffer("error_along_one", torch.zeros(features), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x)  # (K*C, N, P)
        if self.training:
            y: Tensor = _Online.apply(rows, self)  # type: ignore[no-untyped-call]
        else:
            scale = torch.sqrt(self.running_var + self.eps)
            y = (rows - self.running_mean.view(-1, 1, 1)) / scale.view(-1, 1, 1)
        return self.from_rows(self.scale_and_shift(y).clamp(-self.clamp, self.clamp), x)


class _Online(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, norm: OnlineNorm) -> Tensor:
        a = norm.decay_forward
        means = rows.mean(2)  # (K*C, N)
        variances = (rows - means.unsqueeze(2)).square().mean(2)
        mean, var = norm.running_mean.flatten(), norm.running_var.flatten()
        centers, scales = [], []
        for m, v in zip(means.unbind(1), variances.unbind(1), strict=True):
            centers.append(mean)
            scales.append(torch.sqrt(var + norm.eps))
            var = a * var + (1 - a) * v + a * (1 - a) * (m - mean).square()
            mean = a * mean + (1 - a) * m
        scale = torch.stack(scales, 1).unsqueeze(2)
        y = (rows - torch.stack(centers, 1).unsqueeze(2)) / scale
        # These are updated last, because the first center is a view of running_mean.
        norm.running_mean.copy_(mean.view_as(norm.running_mean))
        norm.running_var.copy_(var.view_as(norm.running_var))
        ctx.save_for_backward(y, scale)
        ctx.norm = norm
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        norm: OnlineNorm = ctx.norm
        y, scale = ctx.saved_tensors
        g, gain = grads[0], 1 - norm.decay_backward
        # Means over the positions of one example, (K*C, N): all that the integrators need of it.
        means = [t.mean(2).unbind(1) for t in (g * y, y * y, g, y)]
        along_y, along_one = norm.error_along_y.flatten(), norm.error_along_one.flatten()
        controls_y, controls_one = [], []
        for gy, yy, g1, y1, s in zip(*means, scale.squeeze(2).unbind(1), strict=True):
            control_y, control_one = gain * along_y, gain * along_one
            controls_y.append(control_y)
            controls_one.append(control_one)
            along_y = along_y + (gy - control_y * yy)
            along_one = along_one + ((g1 - control_y * y1) / s - control_one)
        control_y, control_one = (torch.stack(c, 1).unsqueeze(2) for c in (controls_y, controls_one))
        norm.error_along_y.copy_(along_y.view_as(norm.error_along_y))
        norm.error_along_one.copy_(along_one.view_as(norm.error_along_one))
        return (g - control_y * y) / scale - control_one, None
