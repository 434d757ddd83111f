"""Modules that hold parameters and buffers under a network's names, whatever modules that network has."""

from __future__ import annotations

from torch import nn


def holder_of(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that a dotted name points into, created where it is missing, and the last part of the name."""
    *path, own_name = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    return root, own_name
