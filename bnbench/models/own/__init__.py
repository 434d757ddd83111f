"""Networks that a user brings by `model.factory`."""

from bnbench.models.own.custom_network import Survey, own_network, survey

__all__ = ["Survey", "own_network", "survey"]
