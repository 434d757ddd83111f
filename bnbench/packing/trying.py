"""Tries a network of unknown origin in packs: it must compute what it does alone, the same bits beside any others."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from bnbench.config import Precision, Trial
from bnbench.config.factory import one_line
from bnbench.models import build_model
from bnbench.packing.leaves import UnpackableError
from bnbench.packing.pack import Pack, pack
from bnbench.packing.pixels import single_pixel_layers
from bnbench.packing.rehearsal import one_thread
from bnbench.tensors.seeding import generator, generators_kept

_TOLERANCE = 1e-9  # in double precision, of the largest value
_MOST_EXAMPLES = 64
_DISTURBANCE = 0.05

_reasons: dict[tuple[object, ...], str | None] = {}


def reason_against_packs(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> str | None:
    """Why the trial's network cannot be packed, or None; found once in a process.

    Three networks of other seeds are packed and take a training step and an evaluation on random images. In double
    precision each must be its lone self to 1e-9; in the trial's own precision two of them in another pack, in another
    order, must have the same bits. Their weights are disturbed, for weights of zero hide what a forward does.

    Args:
        trial: Says the network, its norm, the batch size and the precision.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
    """
    key = (trial.signature, image_shape, classes)
    if key not in _reasons:
        with generators_kept(), one_thread():
            _reasons[key] = _reason(trial, image_shape, classes)
    return _reasons[key]


def _reason(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> str | None:
    examples = min(trial.training.batch_size, _MOST_EXAMPLES)
    images = torch.rand(3, examples, *image_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    double = _networks(trial, Precision.float64, image_shape, classes)
    try:
        packed = _pack(double, trial, image_shape)
        lone = [_look(copy.deepcopy(net), image) for net, image in zip(double, images, strict=True)]
    except UnpackableError as error:
        return str(error)
    except Exception as error:  # whatever a network does that is set to one precision, or cannot be copied
        return f"it cannot be tried in double precision: {one_line(error)}"
    try:
        together = _look_at_pack(packed, images)
    except Exception as error:  # whatever a forward does that does not expect several trials' channels
        return f"its forward fails in a pack: {one_line(error)}"
    for mine, others in zip(lone, together, strict=False):
        if len(mine) != len(others) or not all(map(_near, mine, others)):
            return (
                "in a pack it does not compute what it does alone: its forward mixes channels, or draws numbers itself"
            )
    nets = _networks(trial, trial.training.precision, image_shape, classes)
    images = images.to(getattr(torch, trial.training.precision))
    one = _look_at_pack(_pack(nets, trial, image_shape), images)
    other = _look_at_pack(_pack([nets[2], nets[0]], trial, image_shape), images[[2, 0]])
    for mine, again in ((one[2], other[0]), (one[0], other[1])):
        if not all(map(torch.equal, mine, again)):
            return "its numbers depend on what else is in a pack: use layers instead of functions in its forward"
    return None


def _networks(trial: Trial, precision: Precision, image_shape: tuple[int, int, int], classes: int) -> list[nn.Module]:
    training = replace(trial.training, precision=precision)
    nets = [build_model(replace(trial, seed=seed, training=training), image_shape, classes) for seed in range(3)]
    for seed, net in enumerate(nets):
        for name, parameter in net.named_parameters():
            noise = torch.empty(parameter.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator(seed, name))
            parameter.data.add_(noise, alpha=_DISTURBANCE)
    return nets


def _pack(nets: Sequence[nn.Module], trial: Trial, image_shape: tuple[int, int, int]) -> Pack:
    decays = trial.optimizer.weight_decay > 0
    return pack(copy.deepcopy([*nets]), () if decays else single_pixel_layers(nets[0], image_shape))


def _look(net: nn.Module, images: Tensor) -> list[Tensor]:
    """Logits (N, classes) in training and in evaluation, and the gradients of a training step, by name."""
    logits = net.train()(images.clone())  # a forward may write into its input
    (logits * _weights(logits.t()).t()).sum().backward()
    gradients = [p.grad for _, p in sorted(net.named_parameters())]
    with torch.no_grad():
        return [logits.detach(), net.eval()(images.clone()), *(g for g in gradients if g is not None)]


def _look_at_pack(packed: Pack, images: Tensor) -> list[list[Tensor]]:
    """What `_look` finds of each slot."""
    K = packed.slots
    filled = torch.cat([images, images[-1:].expand(K - len(images), *images.shape[1:])])
    x = packed.fold(filled, images.dtype)
    logits = packed.train()(x.clone())
    (logits * _weights(logits[0])).sum().backward()
    with torch.no_grad():
        evaluated = packed.eval()(x.clone())
    gradients = [p.grad for _, p in sorted(packed.net.named_parameters())]
    return [[logits[k].detach().t(), evaluated[k].t(), *(g[k] for g in gradients if g is not None)] for k in range(K)]


def _weights(logits: Tensor) -> Tensor:
    """What logits (classes, N) are summed with, so that every one of them counts."""
    return torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view(logits.shape)


def _near(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:  # of a kernel that only sees 1x1 maps, a pack trains the middle
        return a.dim() == 4 and _near(a[:, :, a.shape[2] // 2, a.shape[3] // 2], b)
    return bool((a - b).abs().max() <= _TOLERANCE * (1 + a.abs().max()))
