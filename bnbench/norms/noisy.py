"""Noisy batch normalization: a control with batch norm's gradients, but without stable distributions after it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bnbench.norms.batch import BatchNorm
from bnbench.tensors.counter_draws import Drawn, normals, uniforms
from bnbench.tensors.drawing import Draws

_SPREAD = 0.1  # of the noise of single values about the noise of their channel


class NoisyBatchNorm(BatchNorm, Draws):
    """In training, m + s * batch_norm(x), with noise m and s whose distribution changes at every step.

    At each step every channel draws mu from U(-shift, shift) and sigma from U(1, scale), and then every value m
    from U(mu - 0.1, mu + 0.1) and s from N(sigma, 0.1²): the activations drift as if nothing normalized
    them. The gradient is that of batch norm times s. Evaluation is that of batch norm.

    Args:
        features: Channels C.
        shift: Largest mean of the added noise.
        scale: Largest mean of the factor, at least 1.
        settings: The keyword arguments of `BatchNorm`.

    References:
        Santurkar, Tsipras, Ilyas & Madry (2018), arXiv:1805.11604, appendix A.
    """

    def __init__(self, features: int, *, shift: float = 0.5, scale: float = 1.25, **settings: Any) -> None:
        super().__init__(features, **settings)
        self.shift = shift
        self.scale = scale
        self.register_draws()

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if not self.training:
            return y
        rows = self.rows(y)  # (K*C, N, P)
        parts = torch.split(rows, self.features)
        if self.by_counter:
            step, seeds = self.next_step()
            noise = [self._draw_by_counter(seed, step, part) for seed, part in zip(seeds, parts, strict=True)]
        else:
            noise = [self._draw(g, part) for g, part in zip(self.next_generators("noise"), parts, strict=True)]
        noisy = [part * s + m for part, (m, s) in zip(parts, noise, strict=True)]
        return self.from_rows(torch.cat(noisy), y)

    def _draw(self, g: torch.Generator, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The noise m and s of one trial at one step, each of the shape of `rows`, (C, N, P)."""
        mu, sigma = rows.new_empty(2, self.features, 1, 1, device="cpu").uniform_(generator=g)
        m = torch.empty_like(rows, device="cpu").uniform_(-_SPREAD, _SPREAD, generator=g)
        s = torch.empty_like(rows, device="cpu").normal_(0, _SPREAD, generator=g)
        noise = m + (2 * mu - 1) * self.shift, s + 1 + (self.scale - 1) * sigma
        return noise[0].to(rows.device), noise[1].to(rows.device)

    def _draw_by_counter(self, seed: int, step: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The same noise as the kernels draw it, up to their rounding."""
        C, N, P = rows.shape
        mu, sigma = (uniforms(seed, what, step, 1, C).view(C, 1, 1) for what in (Drawn.mean_shift, Drawn.mean_scale))
        m = _SPREAD * (2 * uniforms(seed, Drawn.shift, step, N * P, C) - 1)
        s = _SPREAD * normals(seed, Drawn.scale, step, N * P, C)
        noise = (values.view(N, P, C).permute(2, 0, 1) for values in (m, s))
        means = (2 * mu - 1) * self.shift, 1 + (self.scale - 1) * sigma
        added, factor = (mean + values for mean, values in zip(means, noise, strict=True))
        return added.to(rows), factor.to(rows)
