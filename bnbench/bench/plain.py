"""A trial as people write it by hand: a network of `torch.nn` modules, torch's optimizers, a loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import Loss, OptimizerConfig, Trial
from bnbench.models import build_model
from bnbench.norms.batch import BatchNorm
from bnbench.optimizers.per_trial import optimizer_class


def plain_network(trial: Trial, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The trial's network with the same initial weights and torch's batch norms; norms that torch lacks stay.

    If the network's leaf modules in a chain compute the same, the result is that chain, without bnbench's blocks; else,
    as for a network with skips, it runs the network's own forward.

    Args:
        trial: The trial.
        shape: (C, H, W) of an image.
        classes: Number of outputs.
    """
    net = build_model(trial, shape, classes).eval()
    chain: list[nn.Module] = []
    torchs: dict[nn.Module, nn.Module] = {}

    def record(leaf: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        chain.append(leaf)
        if type(leaf) is BatchNorm:
            torchs[leaf] = _torch_batch_norm(leaf, inputs[0].dim())

    leaves = [m for m in net.modules() if not [*m.children()] and not isinstance(m, nn.Identity)]
    hooks = [leaf.register_forward_hook(record) for leaf in leaves]
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    images = images.to(getattr(torch, trial.training.precision))
    with torch.no_grad():
        logits = net(images)
        for hook in hooks:
            hook.remove()
        if _is_chain(chain, images, logits):
            return nn.Sequential(*(torchs.get(leaf, leaf) for leaf in chain)).train()
    for module in [*net.modules()]:
        module._modules |= {name: torchs[m] for name, m in module._modules.items() if m in torchs}
    return net.train()


def _is_chain(leaves: Sequence[nn.Module], images: Tensor, logits: Tensor) -> bool:
    """Whether the leaves, applied one after the other, give these logits."""
    try:
        return torch.equal(nn.Sequential(*leaves)(images), logits)
    except (RuntimeError, ValueError):  # the shapes do not fit
        return False


def _torch_batch_norm(norm: BatchNorm, dimensions: int) -> nn.Module:
    kind: Any = nn.BatchNorm1d if dimensions == 2 else nn.BatchNorm2d
    momentum = None if norm.cumulative else norm.momenta[0]
    layer: nn.Module = kind(norm.features, eps=norm.eps, momentum=momentum, affine=norm.weight is not None)
    return layer.to(norm.running_mean.dtype)


def parameter_count(net: nn.Module) -> int:
    """How many trainable numbers a network has."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def plain_optimizer(config: OptimizerConfig, lr: float, net: nn.Module, **options: bool) -> torch.optim.Optimizer:
    """torch's optimizer with the configuration's settings; `fused=True` takes its fused kernel."""
    return optimizer_class(config.name).torch_optimizer(net.parameters(), config, lr, **options)


def batch_loss(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean loss of logits (N, classes) and labels (N,)."""
    if loss == Loss.softmax:
        return F.cross_entropy

    def sigmoid(logits: Tensor, labels: Tensor) -> Tensor:
        hot = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, hot)

    return sigmoid


@torch.no_grad()
def training_loss(net: nn.Module, images: Tensor, labels: Tensor, loss: Loss) -> float:
    """The loss on these images in one batch, under its own statistics; the network is left as it was."""
    return float(batch_loss(loss)(copy.deepcopy(net).train()(images), labels))
