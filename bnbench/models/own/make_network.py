"""Calls the function of a custom network, and checks that it returns a plain module whose layers have their sizes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bnbench.config import ConfigError, ModelConfig
from bnbench.config.factory import call, factory, one_line


def source_of(model: ModelConfig) -> str:
    """Which function makes the network, as errors name it."""
    return f"model.factory={model.factory}"


def make_network(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network that `model.factory` returns. Lazy layers get their sizes from a pass of two black images.

    Args:
        model: The section `model` of the configuration.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.

    Raises:
        ConfigError: If it returns no network, or one that is compiled or wrapped; one line.
    """
    source = source_of(model)
    function = factory("model.factory", model.factory)
    if isinstance(function, nn.Module):
        raise ConfigError(f"{source} is a network, which trials would share; give a function that makes one")
    failure = f"{source} failed for images {image_shape} and {classes} classes"
    net = call(function, {"image_shape": image_shape, "classes": classes, "model": model}, ConfigError, failure)
    if not isinstance(net, nn.Module):
        raise ConfigError(f"{source} returned {type(net).__name__}; it must be a torch.nn.Module")
    for name, module in net.named_modules():
        wrapping = _wrapping(module)
        if wrapping is not None:
            where = f"its {name}" if name else "its network"
            raise ConfigError(
                f"{source}: {where} is {wrapping}, so its norms cannot be replaced; return it without that"
            )
    if any(is_lazy(value) for value in (*net.parameters(), *net.buffers())):
        _size_lazy_layers(net, image_shape, source)
    return net


def _wrapping(module: nn.Module) -> str | None:
    """How a module is compiled or wrapped, as a phrase; None for a plain module."""
    if isinstance(module, torch.jit.ScriptModule):
        return "compiled (TorchScript)"
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return f"wrapped for several devices ({type(module).__name__})"
    # Both are marks of torch.compile. To import the class from torch._dynamo would take seconds.
    compiled = hasattr(module, "_orig_mod") or module._compiled_call_impl is not None
    return "compiled (torch.compile)" if compiled else None


def _size_lazy_layers(net: nn.Module, image_shape: tuple[int, int, int], source: str) -> None:
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(2, *image_shape))
    except Exception as error:  # a user's forward may raise anything
        raise ConfigError(f"{source}: its forward fails on images {image_shape}: {one_line(error)}") from error
    net.train(training)
    lazy = [name for name, value in (*net.named_parameters(), *net.named_buffers()) if is_lazy(value)]
    if lazy:
        raise ConfigError(f"{source}: its forward does not use {', '.join(lazy)}, which are lazy; leave them out")
