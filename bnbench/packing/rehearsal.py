"""Two training steps of a network or norm of the user's own, to detect what they change beside their output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnbench.config import ALL_NORMS, ConfigError, Trial
from bnbench.config.factory import one_line
from bnbench.models import build_model
from bnbench.packing.lone import LonePack
from bnbench.tensors.seeding import generator_states, generators_kept, reseed

_EXAMPLES = 8
_RATE = 0.01


class Rehearsal(NamedTuple):
    """The side effects of a network's training steps and evaluations.

    Attributes:
        draws: Whether it draws random numbers from a global generator while training.
        draws_evaluating: Whether it draws them while evaluating.
        buffers_changed_evaluating: Names of the buffers that change while evaluating.
        changed_attributes: Names of plain attributes that a step changes.
        unsaveable: What a step changes that no checkpoint can hold.
    """

    draws: bool
    draws_evaluating: bool
    buffers_changed_evaluating: tuple[str, ...]
    changed_attributes: tuple[str, ...]
    unsaveable: tuple[str, ...]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside, as in a worker, because its rounding may depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def source(trial: Trial) -> str:
    """The factories of a trial's network and norm, for errors: `model.factory=…`."""
    named = (("model", trial.model), ("norm", trial.norm))
    return " with ".join(f"{key}.factory={section.factory}" for key, section in named if section.name == "custom")


def rehearse(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> Rehearsal:
    """Take two steps with an evaluation after each, from the start and from a checkpoint between them.

    Args:
        trial: Says the network, its norm, the batch size and the precision.
        image_shape: (C, H, W) of the input.
        classes: Outputs.

    Raises:
        ConfigError: If a step or an evaluation fails, if a step is not that of the network as plain torch trains it, if
            the first one from the same start gives other numbers the second time, or if training cannot be resumed and
            `training.checkpoint_every` asks for that.
    """
    rehearsal = _rehearse(trial, image_shape, classes)
    if rehearsal.unsaveable and trial.training.checkpoint_every is not None:
        raise ConfigError(
            f"{source(trial)}: a step changes {', '.join(rehearsal.unsaveable)}, which a checkpoint cannot hold; "
            "keep it in a buffer (register_buffer) or as numbers in attributes, or set training.checkpoint_every=null"
        )
    return rehearsal


@generators_kept()
@one_thread()
def _rehearse(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> Rehearsal:
    examples = ALL_NORMS[trial.norm.name].examples(trial.norm, min(trial.training.batch_size, _EXAMPLES))
    images = torch.rand(1, examples, *image_shape, generator=torch.Generator().manual_seed(0))
    images = images.to(getattr(torch, trial.training.precision))

    def network() -> nn.Module:
        return build_model(trial, image_shape, classes)

    plain_net, net = network(), network()
    watch = _Watch(net)
    watched, repeated, resumed = (LonePack(each, trial.seed) for each in (net, network(), network()))
    action = f"a training step on {examples} images"
    try:
        first = _step_and_evaluation(watched, images)
        state = {name: value.detach().clone() for name, value in _values(watched).items()}
        changed, unsaveable = watched.attributes(), watched.unsaveable_attributes()
        second = _step_and_evaluation(watched, images)
        first_again = _step_and_evaluation(repeated, images)
        for name, value in _values(resumed).items():
            value.detach().copy_(state[name])
        resumed.put_attributes(changed)
        second_resumed = _step_and_evaluation(resumed, images)
        plain_logits = [logits for step in (0, 1) for logits in _plain_step(plain_net, images[0], trial.seed, step)]
        action = "an evaluation of one image"  # the last evaluations of a training run take single images
        with torch.no_grad():
            repeated.eval()(repeated.fold(images[:, :1], images.dtype))
    except ConfigError:
        raise
    except Exception as error:  # a forward may raise anything
        raise ConfigError(f"{source(trial)}: {action} fails: {one_line(error)}") from error
    if not equal_bits(first, first_again):
        raise ConfigError(
            f"{source(trial)}: the first step from the same start gives other numbers the second time: it depends on "
            "something beside the network, a counter of its file or a generator of its own; keep such things in "
            "buffers, and draw from torch's global generator, which bnbench seeds"
        )
    pairs = zip([*first, *second], plain_logits, strict=True)
    if not all(torch.allclose(logits, plain, 1e-4, 1e-6, equal_nan=True) for logits, plain in pairs):
        raise ConfigError(
            f"{source(trial)}: its forward reaches parameters or buffers by another way than by their names (a plain "
            "list of them, say), where they would not be trained; use torch.nn.ParameterList, or what owns them"
        )
    if not unsaveable and not equal_bits(second, second_resumed):
        unsaveable = ["something beside its modules"]
    return Rehearsal(
        watch.draws[True], watch.draws[False], tuple(watch.changed_buffers), tuple(changed), tuple(unsaveable)
    )


class _Watch:
    """Notes what a network's forward does to the global generators and, evaluating, to its buffers.

    Attributes:
        draws: Whether it drew, by whether it was training.
        changed_buffers: Buffers that changed while evaluating.
    """

    def __init__(self, net: nn.Module) -> None:
        self.draws = {True: False, False: False}
        self.changed_buffers: dict[str, None] = {}
        self._before: tuple[tuple[object, ...], dict[str, Tensor]] = (), {}
        net.register_forward_pre_hook(self._start)
        net.register_forward_hook(self._end)

    def _start(self, net: nn.Module, inputs: object) -> None:
        self._before = generator_states(), {name: buffer.clone() for name, buffer in net.named_buffers()}

    def _end(self, net: nn.Module, inputs: object, output: object) -> None:
        states, buffers = self._before
        self.draws[net.training] |= generator_states() != states
        if not net.training:
            after = dict(net.named_buffers())
            self.changed_buffers |= {
                name: None for name, value in buffers.items() if not torch.equal(value, after[name])
            }


def _values(lone: LonePack) -> dict[str, Tensor]:
    return dict([*lone.named_parameters(), *lone.named_buffers()])


def _step_and_evaluation(lone: LonePack, images: Tensor) -> list[Tensor]:
    """A step of plain gradient descent and an evaluation: the logits of both, each (N, classes)."""
    x = lone.fold(images, images.dtype)
    logits = lone.train()(x.clone())[0].t()  # a forward may write into its input
    lone.zero_grad()
    _loss(logits).backward()  # type: ignore[no-untyped-call]
    _descend(lone)
    with torch.no_grad():
        return [logits.detach(), lone.eval()(x.clone())[0].t()]


def _plain_step(net: nn.Module, x: Tensor, seed: int, step: int) -> list[Tensor]:
    """The values of `_step_and_evaluation` for a plain torch network."""
    reseed(LonePack.training_seed(seed, step))
    logits = net.train()(x.clone())
    net.zero_grad()
    _loss(logits).backward()  # type: ignore[no-untyped-call]
    _descend(net)
    reseed(LonePack.evaluation_seed(seed, step + 1, 1))
    with torch.no_grad():
        return [logits.detach(), net.eval()(x.clone())]


def _loss(logits: Tensor) -> Tensor:
    return (logits * torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view(logits.shape)).sum()


def _descend(net: nn.Module) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter.sub_(_RATE * parameter.grad)


def equal_bits(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether all tensors are equal to the bit, counting NaN as equal to NaN."""
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(first, second, strict=True))
