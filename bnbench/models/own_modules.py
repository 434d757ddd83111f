"""A network of the user's own as its function makes it: plain modules, whose every layer is there and sized."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bnbench.config import ConfigError, ModelConfig
from bnbench.config.factory import call, factory, one_line


def source_of(model: ModelConfig) -> str:
    """Who makes the network, for errors."""
    return f"model.factory={model.factory}"


def made(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """What `model.factory` returns; lazy layers are sized by a pass of two black images.

    Raises:
        ConfigError: If it returns no network, or one that is compiled; one line.
    """
    source = source_of(model)
    make = factory("model.factory", model.factory)
    if isinstance(make, nn.Module):
        raise ConfigError(f"{source} is a network, which trials would share; give a function that makes one")
    failed = f"{source} failed for images {image_shape} and {classes} classes"
    net = call(make, {"image_shape": image_shape, "classes": classes, "model": model}, ConfigError, failed)
    if not isinstance(net, nn.Module):
        raise ConfigError(f"{source} returned {type(net).__name__}; it must be a torch.nn.Module")
    for name, module in net.named_modules():
        how = _wrapped(module)
        if how is not None:
            where = f"its {name}" if name else "its network"
            raise ConfigError(f"{source}: {where} is {how}, which nothing can be put into; leave that out")
    if any(is_lazy(value) for value in (*net.parameters(), *net.buffers())):
        _size(net, image_shape, source)
    return net


def _wrapped(module: nn.Module) -> str | None:
    """What a module is that is no plain one, in words."""
    if isinstance(module, torch.jit.ScriptModule):
        return "compiled (TorchScript)"
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return f"wrapped for several devices ({type(module).__name__})"
    # The class is torch._dynamo's, whose import takes seconds.
    compiled = hasattr(module, "_orig_mod") or module._compiled_call_impl is not None
    return "compiled (torch.compile)" if compiled else None


def _size(net: nn.Module, image_shape: tuple[int, int, int], source: str) -> None:
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(2, *image_shape))
    except Exception as error:  # whatever a forward does
        raise ConfigError(f"{source}: its forward fails on images {image_shape}: {one_line(error)}") from error
    net.train(training)
    lazy = [name for name, value in (*net.named_parameters(), *net.named_buffers()) if is_lazy(value)]
    if lazy:
        raise ConfigError(f"{source}: its forward does not use {', '.join(lazy)}, which are lazy; leave them out")
