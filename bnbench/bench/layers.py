"""Times norm layers alone: eight folded into one against eight lone ones, and batch norm against torch's kernel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bnbench.bench.rounds import Spread, alternate, ratio
from bnbench.config import NormConfig
from bnbench.norms import NORMS, make_norm

_TRIALS = 8
_ROUNDS = 5
_CLOSE_ROUNDS = 15  # rounds for times that may differ by only a few per cent
_WARM_UP = 10  # steps before timing, by which the process has allocated its memory


class Case(NamedTuple):
    """A norm's input: N examples of C channels and P positions in a square, 1 for a 2-D input."""

    name: str
    N: int
    C: int
    P: int


CASES = (Case("fc: 64 x 100", 64, 100, 1), Case("cnn: 32 x 8 x 14 x 14", 32, 8, 196))
_AGAINST_TORCH = (*CASES, Case("fc: 8 x 100", 8, 100, 1), Case("cnn: 32 x 16 x 28 x 28", 32, 16, 784))


def fold_against_lone(seconds: float) -> list[dict[str, Any]]:
    """Time forward and backward of each norm, once folded for eight trials and once as eight lone layers.

    Args:
        seconds: Length of each timed stretch; there are ten for each norm and case.

    Returns:
        A row for each norm and case: `folded` and `lone`, spreads in microseconds, and `lone/folded`. A row lacks
        these where there is no such layer: for `none`, and for a norm over positions if there is only one.
    """
    rows = []
    for name, norm in NORMS.items():
        for case in CASES:
            row: dict[str, Any] = {"norm": name, "case": case.name}
            if norm.layer and not (norm.over_positions and case.P == 1):
                row |= _folded_and_lone(name, case, seconds)
            rows.append(row)
    return rows


def _folded_and_lone(name: str, case: Case, seconds: float) -> dict[str, Spread]:
    def layers() -> list[Any]:
        return [make_norm(NormConfig(name=name), case.C) for _ in range(_TRIALS)]

    lone = [_step(norm, *_tensors(case, 1)) for norm in layers()]
    folded = _step(type(layers()[0]).fold(layers()), *_tensors(case, _TRIALS))
    spreads = _microseconds({"folded": folded, "lone": lambda: [step() for step in lone]}, seconds)
    return {**spreads, "lone/folded": ratio(spreads["lone"], spreads["folded"])}


def batch_norm_against_torch(seconds: float) -> list[dict[str, Any]]:
    """Time forward and backward of a folded batch norm and of `torch.native_batch_norm` on the same tensor.

    For 2-D inputs torch's kernel is also timed where it is faster, on inputs transposed beforehand to (1, K*C, N):
    bnbench's layer transposes its inputs to that shape and its outputs back.

    Args:
        seconds: Length of each timed stretch; there are 30 or 45 for each case.

    Returns:
        A row for each case: `bnbench`, `torch` and, for 2-D inputs, `rows`, spreads in microseconds; `bnbench/torch`
        and `bnbench/rows`.
    """
    rows = []
    for case in _AGAINST_TORCH:
        x, grad = _tensors(case, _TRIALS)
        norms: list[Any] = [make_norm(NormConfig(name="batch"), case.C) for _ in range(_TRIALS)]
        steps = {"bnbench": _step(type(norms[0]).fold(norms), x, grad), "torch": _torch_step(x, grad)}
        if case.P == 1:
            steps["rows"] = _torch_step(x.t().unsqueeze(0), grad.t().unsqueeze(0))
        spreads = _microseconds(steps, seconds, _CLOSE_ROUNDS)
        ours = spreads["bnbench"]
        ratios = {f"bnbench/{name}": ratio(ours, other) for name, other in spreads.items() if other is not ours}
        rows.append({"case": case.name, **spreads, **ratios})
    return rows


def _tensors(case: Case, K: int) -> tuple[Tensor, Tensor]:
    """An input and the gradient of its output, laid out in memory as a pack lays out activations."""
    g = torch.Generator().manual_seed(0)
    if case.P == 1:
        x, grad = (torch.randn(K * case.C, case.N, generator=g).t() for _ in range(2))
    else:
        side = math.isqrt(case.P)
        shape = (case.N, side, side, K * case.C)
        x, grad = (torch.randn(shape, generator=g).permute(0, 3, 1, 2) for _ in range(2))
    return x.requires_grad_(), grad


def _step(norm: nn.Module, x: Tensor, grad: Tensor) -> Callable[[], Any]:
    parameters = [*norm.parameters()]

    def step() -> None:
        x.grad = None
        for p in parameters:
            p.grad = None
        norm(x).backward(grad)

    return step


def _torch_step(x: Tensor, grad: Tensor) -> Callable[[], Any]:
    x = x.detach().requires_grad_()
    channels = x.shape[1]
    weight, bias = (value.requires_grad_() for value in (torch.ones(channels), torch.zeros(channels)))
    mean, var = torch.zeros(channels), torch.ones(channels)

    def step() -> None:
        x.grad = weight.grad = bias.grad = None
        y, *_ = torch.native_batch_norm(x, weight, bias, mean, var, True, 0.1, 1e-5)
        y.backward(grad)  # type: ignore[no-untyped-call]

    return step


def _microseconds(steps: Mapping[str, Callable[[], Any]], seconds: float, rounds: int = _ROUNDS) -> dict[str, Spread]:
    """The spread of each step's time in microseconds; the steps take turns."""

    def timed(step: Callable[[], Any]) -> Callable[[], float]:
        for _ in range(_WARM_UP):
            step()

        def stretch() -> float:
            count = 0
            started = time.perf_counter()
            while (elapsed := time.perf_counter() - started) < seconds or not count:
                step()
                count += 1
            return elapsed / count * 1e6

        return stretch

    measured = alternate({name: timed(step) for name, step in steps.items()}, rounds)
    return {name: Spread.of(values) for name, values in measured.items()}
