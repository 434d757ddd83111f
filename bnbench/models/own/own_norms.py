"""What can be known of the norms that a custom network has itself (`norm=own`)."""

from __future__ import annotations

from dataclasses import replace

from bnbench.config import ModelConfig
from bnbench.config.norm_catalog import NORMS, OWN_NORM, Norm
from bnbench.models.own.custom_network import find_places
from bnbench.models.own.make_network import source_of


def own_norm_kind(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Norm:
    """The entry of a network's own norms: it is over the batch, say, if one of them is.

    Args:
        model: The section `model` of the configuration.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.
    """
    kinds = [place.kind for place in find_places(model, image_shape, classes) if place.kind != "none"]
    known = [NORMS[kind] for kind in kinds if kind in NORMS]
    return replace(
        OWN_NORM,
        summary=f"{' and '.join(dict.fromkeys(kinds))} norm of {source_of(model)}",
        removes_shift=bool(known) and all(kind.removes_shift for kind in known),
        over_batch=any(kind.over_batch for kind in known),
        over_positions=any(kind.over_positions for kind in known),
    )
