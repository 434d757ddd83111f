"""Tells which modules of a network are norms, of which kind they are, and how many channels each normalizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from bnbench.norms import NORMS
from bnbench.norms.channel_norm import ChannelNorm

_BASES: tuple[tuple[type[nn.Module], str, str], ...] = (
    (nn.modules.batchnorm._BatchNorm, "batch", "num_features"),
    (nn.modules.instancenorm._InstanceNorm, "instance", "num_features"),
    (nn.GroupNorm, "group", "num_channels"),
    (nn.LayerNorm, "layer", "normalized_shape"),
    (nn.RMSNorm, "rms", "normalized_shape"),
)
"""torch's norms, which subclasses such as timm's BatchNormAct2d count as: class, kind, attribute of its channels."""

_NAMES = {
    "batchnorm": "batch",
    "instancenorm": "instance",
    "groupnorm": "group",
    "layernorm": "layer",
    "rmsnorm": "rms",
}
"""What a hand-written norm has in the name of its class, and its kind."""

NORM_FUNCTIONS: dict[Callable[..., Any], str] = {
    function: name
    for names, module in (
        (("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "local_response_norm"), F),
        (("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "native_batch_norm"), torch),
        (("native_layer_norm", "native_group_norm"), torch),
    )
    for name in names
    for function in [getattr(module, name)]
}
"""Functions that normalize, and their names. They are found in a norm's own forward; no function can be replaced."""


class NormFacts(NamedTuple):
    """What the class and the attributes of a norm say of it.

    Attributes:
        kind: "batch", "group", "instance", "layer", "rms", or the name of another of bnbench's norms.
        channels: How many it normalizes; None if only its input says so.
    """

    kind: str
    channels: int | None


def norm_facts(module: nn.Module) -> NormFacts | None:
    """The kind and the channels of a norm, or None if the module is no norm by its class or its name."""
    for base, kind, attribute in _BASES:
        if isinstance(module, base):
            size = getattr(module, attribute, None)
            return NormFacts(kind, size if isinstance(size, int) or size is None else int(size[0]))
    if isinstance(module, ChannelNorm):
        path = f"{type(module).__module__}:{type(module).__name__}"
        kinds = {norm.layer: name for name, norm in NORMS.items()}
        return NormFacts(kinds.get(path, type(module).__name__), module.features)
    if module._modules:
        return None
    named = re.sub(r"[^a-z]", "", type(module).__name__.lower())
    kind = next((kind for name, kind in _NAMES.items() if name in named), "")
    return NormFacts(kind, own_channels(module)) if kind else None


def own_channels(module: nn.Module) -> int | None:
    """The length of the vectors that a hand-written norm scales by, or None if it has none."""
    sizes = {value.numel() for value in (*module.parameters(), *module.buffers()) if value.dim() == 1}
    return sizes.pop() if len(sizes) == 1 else None


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm by its class or its name."""
    return norm_facts(module) is not None
