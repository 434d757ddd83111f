"""A trial's network in words: layers, shapes, parameters, what norms see, and batch norm worked by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnbench.config import ALL_NORMS, Bias, LogitsNorm, Placement, RunningVar, SingleValue
from bnbench.models import build_model, norm_sites, site_kind
from bnbench.norms import make_norm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bnbench.config import NormConfig, Trial
    from bnbench.norms import Norm


class _Layer(NamedTuple):
    """One leaf module or norm, in the order of the forward pass."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]  # of its output for one example: (C, H, W), or (C,)
    is_norm: bool

    @property
    def positions(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def trainable(self) -> int:
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)

    @property
    def running(self) -> int:
        parameters = {name for name, _ in self.module.named_parameters()}
        return sum(value.numel() for name, value in self.module.state_dict().items() if name not in parameters)


def explain(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> str:
    """A page about one trial: its layers, biases and norms, and batch norm of a small matrix and of a constant feature.

    The network is built and run once on two black images: every shape and count is the real one's.

    Args:
        trial: The trial.
        image_shape: (C, H, W) of the input.
        classes: Outputs.

    Example:
        >>> from bnbench.config import Config, Trial
        >>> trial = Trial.from_config(Config(), train_size=100, data_checksum="")
        >>> print(explain(trial, (1, 28, 28), 10).splitlines()[0])
        model=fc norm=none, input (1, 28, 28), 10 classes, batches of 64
    """
    layers = _layers(trial, image_shape, classes)
    kind = site_kind(trial.model, trial.norm, image_shape, classes)
    norm = f"norm={trial.norm.name}"
    if "norm.placement" in trial.params:
        norm += f" norm.placement={trial.norm.placement}"
    title = (
        f"model={trial.model.name} {norm}, input {image_shape}, {classes} classes, "
        f"batches of {trial.training.batch_size}"
    )
    parts = (
        _table(_rows(layers, trial, kind)),
        _biases(layers, trial, kind),
        _norms(layers, trial, kind),
        _by_hand(trial.norm),
        _constant_feature(trial),
    )
    return "\n\n".join([title, *("\n".join(lines) for lines in parts)])


def _layers(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> list[_Layer]:
    """The network's leaves and norms as a forward pass meets them."""
    import torch

    net = build_model(trial, image_shape, classes).eval()
    layers: list[_Layer] = []
    modules = dict(net.named_modules())
    normed = trial.norm.logits != LogitsNorm.none
    sites = norm_sites(trial.model, image_shape, classes, logits=normed) if trial.norm.name != "none" else []
    # A block has its norm under this name; elsewhere the place is the norm itself.
    norms = {f"{site.block}.norm" if f"{site.block}.norm" in modules else site.block for site in sites}

    def watch(name: str, module: nn.Module) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            layers.append(_Layer(name, module, tuple(output.shape[1:]), name in norms))

        module.register_forward_hook(hook)

    for name, module in modules.items():
        in_a_norm = any(name.startswith(f"{norm}.") for norm in norms)
        if name in norms or not (in_a_norm or [*module.children()]):
            watch(name, module)
    with torch.no_grad():
        net(torch.zeros(2, *image_shape, dtype=getattr(torch, trial.training.precision)))
    return layers


def _rows(layers: Sequence[_Layer], trial: Trial, kind: Norm) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("layer", "what", "out", "trainable", "running", "values a channel")]
    examples = _examples(trial, kind)
    for layer in layers:
        values = f"{examples * layer.positions:,}" if layer.is_norm and examples else ""
        counts = [f"{count:,}" if count else "" for count in (layer.trainable, layer.running)]
        rows.append((layer.name, _what(layer.module), str(layer.shape), *counts, values))
    trainable, running = sum(layer.trainable for layer in layers), sum(layer.running for layer in layers)
    rows.append(("total", "", "", f"{trainable:,}", f"{running:,}", ""))
    return rows


def _what(module: nn.Module) -> str:
    """A layer in a few words: its kind, its sizes, whether it has a bias."""
    from torch import nn

    match module:
        case nn.Conv2d():
            size = "x".join(map(str, module.kernel_size))
            text = f"conv {size}, stride {module.stride[0]}, {module.in_channels} -> {module.out_channels}"
        case nn.Linear():
            text = f"linear, {module.in_features} -> {module.out_features}"
        case _:
            return type(module).__name__
    return text if module.bias is not None else f"{text}, no bias"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as aligned text: words to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:<{width}}" if place < 3 else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _biases(layers: Sequence[_Layer], trial: Trial, kind: Norm) -> Iterator[str]:
    """Which layers have a bias, and why the others have none."""
    norm, bias = trial.norm, trial.model.bias
    layers = [layer for layer in layers if hasattr(layer.module, "bias") and not layer.is_norm]
    without = [layer for layer in layers if layer.module.bias is None]
    remaining = [layer for layer in layers if layer not in without]
    if trial.model.name == "custom":
        yield "biases"
        yield f"  in {len(remaining)} of {len(layers)} layers, as model.factory={trial.model.factory} made them"
        return
    cancels = kind.removes_shift
    yield "biases"
    if without:
        yield f"  dropped from {len(without)} of {len(layers)} layers: {_span(without)}"
        if bias == Bias.never:
            yield f"  because of model.bias={bias}"
        else:
            yield f"  because norm={norm.name} follows directly: it subtracts the mean, and a bias with it"
        if remaining:
            yield f"  kept in {_span(remaining)}, which no norm follows"
        return
    yield f"  all {len(layers)} layers have one"
    if cancels and norm.placement == Placement.after:
        yield f"  because an activation stands between each of them and norm={norm.name}"
    elif cancels:
        yield f"  because of model.bias={bias}; norm={norm.name} cancels those that it follows directly"
    elif cancels is None:
        yield f"  because the {kind.summary} does not declare removes_shift: True drops those that it follows directly"


def _norms(layers: Sequence[_Layer], trial: Trial, kind: Norm) -> Iterator[str]:
    """How many values each mean and variance is taken over."""
    norm, examples = trial.norm, _examples(trial, kind)
    sites = [layer for layer in layers if layer.is_norm]
    yield "norms"
    if not sites:
        yield f"  none (norm={norm.name})"
        return
    place = f", {norm.placement} the activation" if "norm.placement" in trial.params else ""
    yield f"  {len(sites)}, {kind.summary}{place}"
    if kind.over_batch is None and not kind.over_positions:
        yield "  over which values each normalizes is not known: its class does not declare over_batch"
        return
    if examples is None:
        yield f"  each example is normalized by {kind.source}, whatever the batch size"
        return
    what = " is normalized" if norm.name == "custom" else "'s mean and variance are taken"
    yield f"  each channel{what} over examples x height x width values of it:"
    for positions in dict.fromkeys(layer.positions for layer in sites):
        same = [layer for layer in sites if layer.positions == positions]
        _, *map_size = same[0].shape
        size = " x ".join(str(n) for n in (examples, *map_size))
        total = f"{size} = {examples * positions:,}" if map_size else size
        yield f"    {total:<24}{_span(same)}"
    if any(examples * layer.positions == 1 for layer in sites):
        constant = norm.single_value == SingleValue.constant
        answer = "trained all the same, by" if constant else "refused, unless"
        choosable = kind.over_batch and norm.name != "custom"
        choice = f" {answer} norm.single_value=constant" if choosable else " refused"
        yield f"  a single value is its own mean and normalizes to 0:{choice}"


def _examples(trial: Trial, kind: Norm) -> int | None:
    """Over how many examples a norm's mean is taken; None where it is not one channel's."""
    if kind.over_positions:
        return 1
    if not kind.over_batch:
        return None
    return ALL_NORMS[trial.norm.name].examples(trial.norm, trial.training.batch_size)


def _span(layers: Sequence[_Layer]) -> str:
    """Layers by name; many of them by the first and the last."""
    if len(layers) <= 2:
        return ", ".join(layer.name for layer in layers)
    return f"{layers[0].name} … {layers[-1].name} ({len(layers)})"


def _by_hand(norm: NormConfig) -> Iterator[str]:
    """Batch norm of a 2 x 3 matrix, from its definition."""
    x = np.array([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]])
    mean = x.sum(axis=0) / len(x)
    var = ((x - mean) ** 2).sum(axis=0) / len(x)
    divisor = len(x) - (norm.running_var == RunningVar.unbiased)
    normalized = (x - mean) / np.sqrt(var + norm.eps)
    new = norm.momentum
    assert new is not None  # a trial's are resolved
    yield "batch norm by hand: 2 examples (rows) of 3 channels (columns)"
    yield from _matrix("x", x)
    yield from _matrix("mean", mean)
    yield from _matrix("var, divisor N = 2", var)
    yield from _matrix(f"sqrt(var + eps), eps = {norm.eps:g}", np.sqrt(var + norm.eps))
    yield from _matrix("(x - mean) / sqrt(var + eps)", normalized)
    yield "  gamma starts at 1 and beta at 0, so y = gamma * that + beta is the same at first"
    yield f"  running statistics after this batch, norm.momentum = {new:g}, from mean 0 and var 1:"
    yield from _matrix("mean", (1 - new) * 0 + new * mean)
    label = "var, divisor N - 1 = 1" if divisor < len(x) else "var, divisor N = 2"
    yield from _matrix(label, (1 - new) * 1 + new * var * len(x) / divisor)
    if norm.running_var == RunningVar.fused:
        yield "  on images its divisor is N - 1, N counting positions too: norm.running_var=fused"


def _constant_feature(trial: Trial) -> Iterator[str]:
    """What the batch norm that trains makes of features that do not vary."""
    import torch

    values, precision, eps = [5.0, 33.3, 1234.567, 1e4], trial.training.precision, trial.norm.eps
    assert eps is not None  # a trial's are resolved
    examples = max(2, trial.training.batch_size)
    layer = make_norm(replace(trial.norm, name="batch", affine=False), len(values))
    assert layer is not None
    dtype = getattr(torch, precision)
    y = layer.to(dtype)(torch.tensor(values, dtype=dtype).expand(examples, -1))
    yield f"batch norm of constant features: {examples} equal values each, in {precision}"
    yield from _matrix("x", np.array(values))
    yield from _matrix("y - beta", y[0].numpy(), digits=3)
    yield f"  by definition 0; what is left is the rounding of x / sqrt(eps), {1 / math.sqrt(eps):.3g} times x"
    yield "  where a channel has one value, y is beta to the last bit"


def _matrix(label: str, values: np.ndarray, digits: int = 8) -> Iterator[str]:
    for row, numbers in enumerate(np.atleast_2d(values)):
        cells = "".join(f"{number:>14.{digits}g}" for number in numbers)
        yield f"  {label if row == 0 else '':<32}{cells}"
