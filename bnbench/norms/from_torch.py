"""torch's norms as bnbench's own: the same function with the same settings, which packs can fold."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from bnbench.norms.batch import BatchNorm
from bnbench.norms.channel_norm import ChannelNorm
from bnbench.norms.group import GroupNorm, InstanceNorm, LayerNorm, RMSNorm

Norm = TypeVar("Norm", bound=ChannelNorm)

_RMS_EPS = torch.finfo(torch.float32).eps  # what nn.RMSNorm takes where eps is None


def batch_norm_of(layer: nn.modules.batchnorm._BatchNorm) -> BatchNorm:
    """A batch norm of torch's as one of bnbench's, with its settings and at its initial values.

    Raises:
        ValueError: If it keeps no running statistics; bnbench's always does.
    """
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError("batch norm without running statistics")
    norm = BatchNorm(
        layer.num_features,
        momentum=0.0 if layer.momentum is None else layer.momentum,
        eps=layer.eps,
        affine=layer.affine,
        cumulative=layer.momentum is None,
    )
    return _without_missing(norm, layer)


def norm_of(layer: nn.Module, kind: str, channels: int) -> ChannelNorm | None:
    """A norm of torch's, or of a subclass, as one of bnbench's with its settings; None where there is none.

    Args:
        layer: The norm. Whether a subclass computes what its base class does is for the caller to see.
        kind: What it is: "batch", "group", "instance", "layer" or "rms".
        channels: How many channels it normalizes.
    """
    if kind == "batch" and isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return None if layer.running_mean is None else batch_norm_of(layer)
    eps, affine = getattr(layer, "eps", None), getattr(layer, "weight", None) is not None
    norm: ChannelNorm
    if kind == "group" and isinstance(layer, nn.GroupNorm):
        norm = GroupNorm(channels, groups=layer.num_groups, eps=layer.eps, affine=affine)
    elif kind == "instance" and isinstance(layer, nn.modules.instancenorm._InstanceNorm):
        if layer.running_mean is not None:
            return None
        norm = InstanceNorm(channels, eps=layer.eps, affine=affine)
    elif kind == "layer" and isinstance(eps, float):
        norm = LayerNorm(channels, eps=eps, affine=affine)
    elif kind == "rms" and isinstance(eps, float | None):
        norm = RMSNorm(channels, eps=_RMS_EPS if eps is None else eps, affine=affine)
    else:
        return None
    return _without_missing(norm, layer)


def _without_missing(norm: Norm, layer: nn.Module) -> Norm:
    """The norm without a shift where torch's has a scale alone."""
    if getattr(layer, "bias", None) is None:
        norm.bias = None
    return norm
