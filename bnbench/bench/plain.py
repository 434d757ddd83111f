"""A trial as people write it by hand: its network in `torch.nn` alone, torch's optimizers, a loss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import Loss, OptimizerConfig, Trial
from bnbench.models import build_model
from bnbench.norms.batch import BatchNorm
from bnbench.optimizers.per_trial import optimizer_class


def plain_network(trial: Trial, shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The trial's network as a chain of leaves, from the same initial weights, its batch norms torch's own.

    Norms that torch lacks stay bnbench's.

    Args:
        trial: The trial.
        shape: (C, H, W) of an image.
        classes: Outputs.
    """
    net = build_model(trial, shape, classes).eval()
    chain: list[nn.Module] = []

    def record(leaf: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        chain.append(_torch_batch_norm(leaf, inputs[0].dim()) if type(leaf) is BatchNorm else leaf)

    leaves = [m for m in net.modules() if not [*m.children()] and not isinstance(m, nn.Identity)]
    hooks = [leaf.register_forward_hook(record) for leaf in leaves]
    with torch.no_grad():
        net(torch.zeros(2, *shape, dtype=getattr(torch, trial.training.precision)))
    for hook in hooks:
        hook.remove()
    return nn.Sequential(*chain).train()


def _torch_batch_norm(norm: BatchNorm, dimensions: int) -> nn.Module:
    kind: Any = nn.BatchNorm1d if dimensions == 2 else nn.BatchNorm2d
    momentum = None if norm.cumulative else norm.momenta[0]
    made: nn.Module = kind(norm.features, eps=norm.eps, momentum=momentum, affine=norm.weight is not None)
    return made.to(norm.running_mean.dtype)


def parameter_count(net: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def plain_optimizer(config: OptimizerConfig, lr: float, net: nn.Module, **how: bool) -> torch.optim.Optimizer:
    """torch's optimizer with the configuration's settings; `how` is `fused=True`, or nothing."""
    return optimizer_class(config.name).plain(net.parameters(), config, lr, **how)


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
