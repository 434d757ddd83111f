"""Checks that a custom network can be trained: it must return logits, and gradients must reach its parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError
from bnbench.config.factory import one_line
from bnbench.models.hidden_norms import no_hidden_norm
from bnbench.tensors.seeding import seeded

_PASSES = 16  # at most, until gradients have reached every parameter
_SUM_TOLERANCE = 1e-4  # how far from 1 the sum of an example's probabilities may be


def logits_of(net: nn.Module, examples: int, image_shape: tuple[int, int, int], classes: int, source: str) -> Tensor:
    """The network's logits for black images, (examples, classes), checked.

    Args:
        net: The network, in training or evaluation mode.
        examples: How many images to run it on.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.
        source: Which function made the network, for errors: `model.factory=…`.

    Raises:
        ConfigError: If the forward pass fails, makes new parameters, or does not return logits; one line.
    """
    while_training = " while training" if net.training else ""
    initial_names = {name for name, _ in net.named_parameters()}
    try:
        logits = net(torch.zeros(examples, *image_shape))
    except ConfigError:
        raise
    except Exception as error:  # a user's forward may raise anything
        raise ConfigError(
            f"{source}: its forward fails on images {image_shape}{while_training}: {one_line(error)}"
        ) from error
    new_names = [name for name, _ in net.named_parameters() if name not in initial_names]
    if new_names:
        raise ConfigError(
            f"{source}: its forward makes {', '.join(new_names)}, which would not be trained; make them in __init__ "
            "(torch.nn.LazyLinear and LazyConv2d find out the size of their inputs themselves)"
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
    if classes > 1 and bool((values >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=_SUM_TOLERANCE):
        raise ConfigError(
            f"{source} puts out probabilities, which sum to 1; it must be logits: the loss applies the softmax"
        )
    return logits


def check_parameters(
    net: nn.Module,
    without_norms: nn.Module,
    logits: Tensor,
    image_shape: tuple[int, int, int],
    classes: int,
    source: str,
) -> None:
    """Check that a gradient reaches every parameter, and that the network runs in training and on a single image.

    Args:
        net: The network as its function made it, in evaluation mode.
        without_norms: The same without norms, so that it can be trained on any number of images.
        logits: The output of `net`, (N, classes).
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.
        source: Which function made the network, for errors: `model.factory=…`.

    Raises:
        ConfigError: If no gradient reaches a parameter, there is none to train, or a pass fails; one line.
    """
    trained = [name for name, p in net.named_parameters() if p.requires_grad]
    if not trained:
        raise ConfigError(f"{source} has no parameter to train; set requires_grad=True on one")
    other_names = {name for name, p in without_norms.named_parameters() if p.requires_grad}
    reached = _reached(net, logits, source) - other_names  # parameters of norms, which only `net` has
    with no_hidden_norm(source):
        for seed in range(_PASSES):  # a forward may leave layers out at random
            with seeded(seed):
                reached |= _reached(
                    without_norms, logits_of(without_norms.train(), 2, image_shape, classes, source), source
                )
            if other_names <= reached:
                break
        with seeded(0):
            for examples in (2, 1):  # the last batch of an evaluation may be a single image
                logits_of(without_norms.eval(), examples, image_shape, classes, source)
    unused = [name for name in trained if name not in reached]
    if unused:
        raise ConfigError(
            f"{source}: no gradient reaches {', '.join(unused)}: its forward does not use them, or detaches their "
            "results; leave them out, or set their requires_grad=False"
        )


def _reached(net: nn.Module, logits: Tensor, source: str) -> set[str]:
    """Names of the parameters that a gradient of the logits reaches."""
    if not logits.requires_grad:
        return set()
    net.zero_grad()
    try:
        logits.sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # for example because of an in-place operation
        raise ConfigError(f"{source}: its backward pass fails: {one_line(error)}") from error
    return {name for name, p in net.named_parameters() if p.grad is not None}
