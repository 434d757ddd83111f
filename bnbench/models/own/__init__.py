"""Networks that a user brings by `model.factory`."""

from bnbench.models.own.custom_network import Survey, find_places, own_network, survey
from bnbench.models.own.own_norms import own_norm_kind
from bnbench.models.own.sites import Site

__all__ = ["Site", "Survey", "find_places", "own_network", "own_norm_kind", "survey"]
