"""Every normalization, by the name that `norm=` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnbench.config import NormConfig, SingleValue

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NORMS", "Norm", "make_norm"]


@dataclass(frozen=True)
class Norm:
    """What the rest of bnbench needs to know of a normalization without building it.

    Attributes:
        summary: One line for `bnbench list`.
        removes_shift: Whether it cancels a constant added to a channel, so that a bias right before it is redundant.
        over_batch: Whether it normalizes over the batch, and so is undefined on a single value per channel.
        keeps_statistics: Whether it evaluates with running statistics that differ from the batch's.
    """

    summary: str
    removes_shift: bool
    over_batch: bool
    keeps_statistics: bool
    build: Callable[[NormConfig, int], nn.Module | None]


def _batch(config: NormConfig, features: int) -> nn.Module:
    from bnbench.norms.batch import BatchNorm

    return BatchNorm(
        features,
        momentum=config.momentum,
        eps=config.eps,
        affine=config.affine,
        constant=config.single_value == SingleValue.constant,
    )


NORMS = {
    "none": Norm(
        "no normalization",
        removes_shift=False,
        over_batch=False,
        keeps_statistics=False,
        build=lambda config, features: None,
    ),
    "batch": Norm(
        "batch norm (Ioffe & Szegedy 2015)",
        removes_shift=True,
        over_batch=True,
        keeps_statistics=True,
        build=_batch,
    ),
}


def make_norm(config: NormConfig, features: int) -> nn.Module | None:
    """The normalization of `features` channels that a configuration asks for, or None for `norm=none`."""
    return NORMS[config.name].build(config, features)
