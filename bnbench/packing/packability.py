"""Whether a network or norm of the user's own can be trained in packs: the plan tries it once.

It can if it computes the same in a pack as alone, and its bits do not depend on the other trials of the pack.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bnbench.config import Precision, Trial
from bnbench.config.factory import one_line
from bnbench.data import dataset_info
from bnbench.models import build_model
from bnbench.models.geometry import work
from bnbench.packing.leaves import UnpackableError
from bnbench.packing.pack import Pack, pack
from bnbench.packing.pixels import single_pixel_layers
from bnbench.packing.positions import depends_on_position
from bnbench.packing.rehearsal import Rehearsal, one_thread, rehearse
from bnbench.tensors.seeding import generator, generators_kept

# A pack saves overhead, which is most of a small network's step; a large network gains nothing and is slow to try.
_MOST_WEIGHTS = 2_000_000
_TOLERANCE = 1e-9  # in double precision, of the largest value
_MOST_EXAMPLES = 64
_DISTURBANCE = 0.05
_DEPENDS = "its numbers depend on what else is in a pack"


@dataclass(frozen=True)
class Packability:
    """The outcome of trying a trial's network.

    Attributes:
        rehearsal: The side effects of its steps and evaluations.
        why_alone: Why it cannot be trained in a pack with other trials, or None.
    """

    rehearsal: Rehearsal
    why_alone: str | None


def packability(trial: Trial) -> Packability:
    """Try the trial's network: two training steps alone, then a step in packs.

    Networks and norms of bnbench's own can all be packed; they need not be tried.

    Raises:
        ConfigError: If it cannot be trained at all as it is.
    """
    info = dataset_info(trial.data)
    rehearsal = rehearse(trial, info.shape, info.classes)
    return Packability(rehearsal, _why_alone(trial, rehearsal))


def _why_alone(trial: Trial, rehearsal: Rehearsal) -> str | None:
    if rehearsal.draws or rehearsal.draws_evaluating:
        return "its forward draws random numbers itself"
    if rehearsal.changed_attributes or rehearsal.unsaveable:
        return f"a step changes {[*rehearsal.changed_attributes, *rehearsal.unsaveable][0]}, which is no buffer"
    info = dataset_info(trial.data)
    weights = work(trial.model, info.shape, info.classes).weights
    if weights > _MOST_WEIGHTS:
        return f"{weights:,} weights, with which a pack gains nothing"
    return reason_against_packs(trial, info.shape, info.classes)


@generators_kept()
@one_thread()
def reason_against_packs(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> str | None:
    """Why the trial's network does not compute the same in a pack as alone, or None if it does.

    Networks of three seeds are packed and take a training step and an evaluation on random images. In double precision
    each must agree with the same network alone to 1e-9. In the trial's own precision two of them, packed again without
    the third and in another order, must have the same bits as before, and no function that its forward calls may round
    otherwise where a tensor ends. Noise is added to their weights, because weights
    of zero would hide what a forward does.

    Args:
        trial: Says the network, its norm, the batch size and the precision.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
    """
    examples = min(trial.training.batch_size, _MOST_EXAMPLES)
    images = torch.rand(3, examples, *image_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    in_double = _disturbed_networks(trial, Precision.float64, image_shape, classes)
    try:
        packed = _packed(in_double, trial, image_shape)
        alone = [_step_alone(copy.deepcopy(net), batch) for net, batch in zip(in_double, images, strict=True)]
    except UnpackableError as error:
        return str(error)
    except Exception as error:  # a network may be tied to one precision, or impossible to copy
        return f"it cannot be tried in double precision: {one_line(error)}"
    try:
        together = _step_in_pack(packed, images)
    except Exception as error:  # a forward may not expect the channels of several trials
        return f"its forward fails in a pack: {one_line(error)}"
    for by_itself, in_pack in zip(alone, together, strict=False):  # a pack may have more slots
        if len(by_itself) != len(in_pack) or not all(map(_near, by_itself, in_pack)):
            return (
                "in a pack it does not compute what it does alone: its forward mixes channels, or draws numbers itself"
            )
    nets = _disturbed_networks(trial, trial.training.precision, image_shape, classes)
    images = images.to(getattr(torch, trial.training.precision))
    if name := depends_on_position(copy.deepcopy(nets[0]), images[0]):
        return f"{_DEPENDS}: its forward calls {name}, use a layer instead"
    of_three = _step_in_pack(_packed(nets, trial, image_shape), images)
    of_two = _step_in_pack(_packed([nets[2], nets[0]], trial, image_shape), images[[2, 0]])
    for beside_two, beside_one in ((of_three[2], of_two[0]), (of_three[0], of_two[1])):
        if not all(map(torch.equal, beside_two, beside_one)):
            return f"{_DEPENDS}: use layers instead of functions in its forward"
    return None


def _disturbed_networks(
    trial: Trial, precision: Precision, image_shape: tuple[int, int, int], classes: int
) -> list[nn.Module]:
    """Networks of three seeds, with noise on their weights."""
    training = replace(trial.training, precision=precision)
    nets = [build_model(replace(trial, seed=seed, training=training), image_shape, classes) for seed in range(3)]
    for seed, net in enumerate(nets):
        for name, parameter in net.named_parameters():
            noise = torch.empty(parameter.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator(seed, name))
            parameter.data.add_(noise, alpha=_DISTURBANCE)
    return nets


def _packed(nets: Sequence[nn.Module], trial: Trial, image_shape: tuple[int, int, int]) -> Pack:
    decays = trial.optimizer.weight_decay > 0
    return pack(copy.deepcopy([*nets]), () if decays else single_pixel_layers(nets[0], image_shape))


def _step_alone(net: nn.Module, images: Tensor) -> list[Tensor]:
    """Logits (N, classes) in training and in evaluation, and the gradients of a training step, by name."""
    logits = net.train()(images.clone())  # a forward may write into its input
    (logits * _weights(logits.t()).t()).sum().backward()
    gradients = [p.grad for _, p in sorted(net.named_parameters())]
    with torch.no_grad():
        return [logits.detach(), net.eval()(images.clone()), *(g for g in gradients if g is not None)]


def _step_in_pack(packed: Pack, images: Tensor) -> list[list[Tensor]]:
    """The values of `_step_alone` for each slot; slots beyond the images get the last image batch."""
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
    """Different weights for the logits (classes, N), so that their weighted sum depends on every one of them."""
    return torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view(logits.shape)


def _near(alone: Tensor, in_pack: Tensor) -> bool:
    if alone.shape != in_pack.shape:  # where a kernel only sees 1x1 maps, a pack trains its middle alone
        return alone.dim() == 4 and _near(alone[:, :, alone.shape[2] // 2, alone.shape[3] // 2], in_pack)
    return bool((alone - in_pack).abs().max() <= _TOLERANCE * (1 + alone.abs().max()))
