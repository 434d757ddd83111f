"""The extreme eigenvalues of a loss's Hessian, and how far its largest stands out, from products with vectors alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_STEP = 2.0**-34  # relative; far above rounding in float64, and so short that few ReLUs switch on the way
_SYMMETRY = 1e-3

Product = Callable[[Tensor], Tensor]


class Spectrum(NamedTuple):
    """Estimates of each trial's eigenvalues, each (K,); NaN where the products were not those of one symmetric matrix.

    Attributes:
        largest: The largest eigenvalue.
        smallest: The smallest; below 0 the loss falls along some direction even where its gradient is 0.
        mean: The mean of all, trace / P.
    """

    largest: Tensor
    smallest: Tensor
    mean: Tensor

    @property
    def condition(self) -> Tensor:
        """largest / mean: how much slower an average direction is than the steepest, which limits the step.

        Largest / smallest says nothing of a network: softmax, constant pixels and norms leave directions in which the
        loss does not change at all. NaN where the mean is not positive.
        """
        return torch.where(self.mean > 0, self.largest / self.mean, torch.nan)


def hessian_product(gradient: Callable[[Tensor], Tensor], at: Tensor) -> Product:
    """What multiplies unit vectors (K, P) with the Hessian: (∇L(w + εv) - ∇L(w - εv)) / 2ε, ε = 2⁻³⁴ ‖w‖.

    Differences need nothing but the gradient that training uses, whatever it is made of; in float64 they are right to
    about five digits. Where a ReLU switches between the two points a difference is of two slopes, and far off: see
    `spectrum`.

    Args:
        gradient: ∇L, (K, P) to (K, P), float64.
        at: w, (K, P).
    """
    step = _STEP * _size(at)
    return lambda v: (gradient(at + step * v) - gradient(at - step * v)) / (2 * step)


def spectrum(product: Product, start: Tensor, probes: Sequence[Tensor], steps: int) -> Spectrum:
    """Extreme eigenvalues by the Lanczos method with full reorthogonalization, the mean by random probes.

    The mean is exact on the subspace that Lanczos found; elsewhere each probe gives an estimate. A Hessian is
    symmetric: a trial whose products disagree about that by more than a thousandth gets no numbers.

    Args:
        product: With the Hessian, of unit vectors (K, P).
        start: A random direction, (K, P).
        probes: Further random directions, each (K, P).
        steps: Dimension of the subspace, at most P: at P the result is exact.

    References:
        Lanczos (1950), J. Res. Natl. Bur. Stand. 45, 255-282.
        Meyer, Musco, Musco & Woodruff (2021), Hutch++, arXiv:2010.09649, for the mean.
    """
    K, P = start.shape
    basis, projected = start.new_zeros(K, steps, P), start.new_zeros(K, steps, steps)
    vector, couplings = _unit(start), []
    for step in range(steps):
        basis[:, step] = vector
        spanned = basis[:, : step + 1]
        image = product(vector)
        projected[:, : step + 1, step] = _components(spanned, image)
        remainder = _rest(spanned, image)
        couplings.append(_size(remainder))
        # Where the remainder is 0 the subspace is invariant, and the basis is extended in another direction.
        vector = _unit(_rest(spanned, torch.where(couplings[-1] > 0, _unit(remainder), start.roll(step + 1, 1))))
    # In exact arithmetic the projection is tridiagonal and symmetric, its off-diagonal being the norms of the
    # remainders. Whatever differs from that is the error.
    errors = [projected.triu(2).flatten(1), projected.diagonal(1, 1, 2) - torch.cat(couplings, 1)[:, :-1]]
    symmetric = projected.triu() + projected.triu(1).transpose(1, 2)
    trace = symmetric.diagonal(dim1=1, dim2=2).sum(1)
    for probe in probes if steps < P else []:
        outside = _unit(_rest(basis, probe))
        image = product(outside)
        trace = trace + (P - steps) * (outside * image).sum(1) / len(probes)
        errors.append(_components(basis[:, :-1], image))
    trusted = torch.cat(errors, 1).abs().amax(1) <= _SYMMETRY * symmetric.flatten(1).abs().amax(1)
    values = torch.linalg.eigvalsh(torch.where(trusted.view(K, 1, 1), symmetric, 0.0))
    extremes_and_mean = (values[:, -1], values[:, 0], trace / P)
    return Spectrum(*(torch.where(trusted, value, torch.nan) for value in extremes_and_mean))


def _components(basis: Tensor, vector: Tensor) -> Tensor:
    return torch.bmm(basis, vector.unsqueeze(2)).squeeze(2)


def _rest(basis: Tensor, vector: Tensor) -> Tensor:
    """The part of the vector orthogonal to the basis, projected twice because one projection leaves rounding errors."""
    for _ in range(2):
        vector = vector - torch.bmm(_components(basis, vector).unsqueeze(1), basis).squeeze(1)
    return vector


def _size(vector: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(vector, dim=1, keepdim=True)
    return size


def _unit(vector: Tensor) -> Tensor:
    return vector / _size(vector)
