"""Eigenvalues of the training loss's Hessian, computed with a copy of the pack in double precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bnbench.packing.pack import Pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.tensors.seeding import generator
from bnbench.training.image_batches import PackImages
from bnbench.training.losses import example_losses
from bnbench.training.measures.hessian import Spectrum, hessian_product, spectrum
from bnbench.training.unchanged import Copies

_STEPS = 16
_PROBES = 2
_BASIS_BYTES = 256 * 2**20


def loss_spectrum(pack: Pack, images: PackImages, trials: PackedTrials, rows: Sequence[Tensor]) -> Spectrum:
    """Eigenvalues of the Hessian of the mean training loss by all parameters, of every slot.

    Args:
        pack: The networks, in training mode; left as they are.
        images: Where the rows point.
        trials: The trials of the pack, whose seeds draw the random vectors.
        rows: Batches of the loss, each (K, N).
    """
    P = sum(parameter[0].numel() for parameter in pack.parameters())
    at_once = max(1, _BASIS_BYTES // (_STEPS * P * 8))
    parts = [_Double(pack, images, trials, rows, slots).spectrum() for slots in _groups(pack.slots, at_once)]
    return Spectrum(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _groups(slots: int, at_once: int) -> Iterator[list[int]]:
    for start in range(0, slots, at_once):
        yield [*range(start, min(start + at_once, slots))]


class _Double:
    """Some of a pack's slots in double precision, padded with copies of the last one where the layout needs more."""

    def __init__(
        self, pack: Pack, images: PackImages, trials: PackedTrials, rows: Sequence[Tensor], slots: list[int]
    ) -> None:
        self._slots = len(slots)
        self._pack = copy.deepcopy(pack).double()
        padded = slots + slots[-1:] * (self._pack.width_of(len(slots)) - len(slots))
        self._pack.select(padded)
        for layer in self._pack.linear:
            layer.descent = None
        self._parameters = [*self._pack.parameters()]
        self._buffers = Copies(self._pack.buffers())
        self._images = images.of(padded).double()
        self._trials = trials.select(padded)
        self._rows = [part[padded] for part in rows]

    def spectrum(self) -> Spectrum:
        at = torch.cat([parameter.detach().flatten(1) for parameter in self._parameters], 1)  # (K, P)
        start, *probes = (self._direction(at, draw) for draw in range(1 + _PROBES))
        eigenvalues = spectrum(hessian_product(self._gradient, at), start, probes, min(_STEPS, at.shape[1]))
        return Spectrum(*(values[: self._slots] for values in eigenvalues))

    def _direction(self, like: Tensor, draw: int) -> Tensor:
        """A random direction for each trial from its own stream, (K, P)."""
        streams = [generator(trial.seed, "hessian", draw) for trial in self._trials.by_slot]
        return torch.stack([torch.randn(like.shape[1], generator=g, dtype=like.dtype) for g in streams]).to(like)

    def _gradient(self, at: Tensor) -> Tensor:
        """The gradient of the mean loss over the batches, (K, P)."""
        start = 0
        for parameter in self._parameters:
            size = parameter[0].numel()
            parameter.data.copy_(at[:, start : start + size].view(parameter.shape))
            start += size
        self._buffers.put_back()
        total = torch.zeros_like(at)
        for rows in self._rows:
            x, labels = self._images.batch(self._pack, rows)
            with torch.enable_grad():
                loss = example_losses(self._pack(x), labels, self._trials.shared.training.loss).mean(1).sum()
                gradients = torch.autograd.grad(loss, self._parameters)
            total += torch.cat([gradient.flatten(1) for gradient in gradients], 1)
        return total / len(self._rows)
