"""What a network of the user's own must do so that it can be trained: put out logits, and pass gradients on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError
from bnbench.config.factory import one_line
from bnbench.models.swap import no_hidden_norm
from bnbench.tensors.seeding import seeded

_PASSES = 16
_NEAR_ONE = 1e-4


def logits_of(net: nn.Module, examples: int, image_shape: tuple[int, int, int], classes: int, source: str) -> Tensor:
    """The network's output for so many black images.

    Args:
        net: In training or in evaluation.
        examples: How many.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
        source: Who made the network, for errors: `model.factory=…`.

    Raises:
        ConfigError: If it does not run, makes layers, or puts out something else than logits; one line.
    """
    while_training = " while training" if net.training else ""
    constructed = {name for name, _ in net.named_parameters()}
    try:
        logits = net(torch.zeros(examples, *image_shape))
    except ConfigError:
        raise
    except Exception as error:  # whatever a forward does
        raise ConfigError(
            f"{source}: its forward fails on images {image_shape}{while_training}: {one_line(error)}"
        ) from error
    late = [name for name, _ in net.named_parameters() if name not in constructed]
    if late:
        raise ConfigError(
            f"{source}: its forward makes {', '.join(late)}, which nobody would train; make them in __init__ "
            "(torch.nn.LazyLinear and LazyConv2d find out their inputs themselves)"
        )
    images = "1 image" if examples == 1 else f"{examples} images"
    expected = f"it must be logits of shape ({examples}, {classes})"
    if not isinstance(logits, Tensor):
        kind = type(logits).__name__
        raise ConfigError(f"{source} puts out a {kind} for {images}{while_training}; {expected}, one tensor")
    if logits.shape != (examples, classes):
        raise ConfigError(f"{source} puts out {tuple(logits.shape)} for {images}{while_training}; {expected}")
    values = logits.detach().double()
    sums = values.sum(1)
    if classes > 1 and bool((values >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=_NEAR_ONE):
        raise ConfigError(
            f"{source} puts out probabilities, which sum to 1; it must be logits: the loss takes their softmax itself"
        )
    return logits


def check_parameters(
    net: nn.Module, plain: nn.Module, logits: Tensor, image_shape: tuple[int, int, int], classes: int, source: str
) -> None:
    """Find parameters that training would not reach, in evaluation, in training and with one image.

    Args:
        net: The network in evaluation, as it was made.
        plain: The same without norms, which can be trained on any number of images.
        logits: Of `net`.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
        source: Who made it, for errors.

    Raises:
        ConfigError: If there are any, or if there is nothing to train; one line.
    """
    trained = [name for name, p in net.named_parameters() if p.requires_grad]
    if not trained:
        raise ConfigError(f"{source} has no parameter to train; set requires_grad=True on one")
    of_plain = {name for name, p in plain.named_parameters() if p.requires_grad}
    reached = _reached(net, logits, source) - of_plain  # norms', which only this one has
    with no_hidden_norm(source):
        for seed in range(_PASSES):  # some forwards leave layers out at random
            with seeded(seed):
                reached |= _reached(plain, logits_of(plain.train(), 2, image_shape, classes, source), source)
            if of_plain <= reached:
                break
        with seeded(0):
            for examples in (2, 1):  # images are evaluated one by one too
                logits_of(plain.eval(), examples, image_shape, classes, source)
    unused = [name for name in trained if name not in reached]
    if unused:
        raise ConfigError(
            f"{source}: no gradient reaches {', '.join(unused)}: its forward does not use them, or detaches what they "
            "give; leave them out, or set their requires_grad=False"
        )


def _reached(net: nn.Module, logits: Tensor, source: str) -> set[str]:
    """Names of the parameters that the logits depend on."""
    if not logits.requires_grad:
        return set()
    net.zero_grad()
    try:
        logits.sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # of an in-place operation, say
        raise ConfigError(f"{source}: its backward pass fails: {one_line(error)}") from error
    return {name for name, p in net.named_parameters() if p.grad is not None}
