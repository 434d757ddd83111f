"""Sees that norms which were moved in a network are reached, in training and in evaluation, and that they count."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from bnbench.config import ConfigError
from bnbench.config.factory import one_line
from bnbench.models.own.trace import Call, Trace, trace

_EXAMPLES = 4


def check_reached(net: nn.Module, moved: Sequence[nn.Module], image_shape: tuple[int, int, int], source: str) -> None:
    """Run a network, in both modes, and see that something uses what each of its moved norms puts out.

    Args:
        net: The network with its norms; its running statistics change.
        moved: The norms.
        image_shape: Shape (C, H, W) of one image.
        source: Which function made the network, for errors: `model.factory=…`.

    Raises:
        ConfigError: If a norm is not reached: its forward takes another way when it is trained, or ignores what an
            in-place activation returns; one line.
    """
    names = {module: path for path, module in net.named_modules()}
    for training in (True, False):
        mode = "training" if training else "evaluation"
        try:
            found = trace(net.train(training), torch.rand(_EXAMPLES, *image_shape), norms=moved)
        except Exception as error:
            raise ConfigError(f"{source}: its forward fails with its norms moved: {one_line(error)}") from error
        used = {module for call in found.calls if _counts(call, found) for module in _norms_in(call)}
        lost = [names[norm].removesuffix(".norm") for norm in moved if norm not in used]
        if lost:
            raise ConfigError(
                f"{source}: norm.placement cannot move {lost[0]}: in {mode} its forward does not use what the "
                "activation beside it returns; assign that (x = self.act(x)), the same in training and in evaluation"
            )


def _counts(call: Call, found: Trace) -> bool:
    return bool(call.users) or call is found.output


def _norms_in(call: Call) -> list[nn.Module | None]:
    return [call.module, *(inner.module for inner in call.inner)]
