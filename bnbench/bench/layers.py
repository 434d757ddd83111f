"""Norm layers by themselves: a fold of eight against eight alone, and batch norm against torch's kernel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.bench.rounds import Spread, alternate, ratio
from bnbench.config import NormConfig
from bnbench.norms import NORMS, make_norm

__all__ = ["CASES", "batch_norm_against_torch", "fold_against_lone"]

_TRIALS = 8
_ROUNDS = 5


class Case(NamedTuple):
    """A norm's input: N examples of C channels and P positions in a square, 1 for a 2-D input."""

    name: str
    N: int
    C: int
    P: int


CASES = (Case("fc: 64 x 100", 64, 100, 1), Case("cnn: 32 x 8 x 14 x 14", 32, 8, 196))
_AGAINST_TORCH = (*CASES, Case("fc: 8 x 100", 8, 100, 1), Case("cnn: 32 x 16 x 28 x 28", 32, 16, 784))


def fold_against_lone(seconds: float) -> list[dict[str, Any]]:
    """Forward and backward of each norm, folded for eight trials and eight times alone.

    Args:
        seconds: Of each stretch that is timed; there are ten for a norm and case.

    Returns:
        A row for each norm and case: `folded` and `lone`, spreads in microseconds, and `lone/folded`. Empty of
        these where there is no such layer: for `none`, and for a norm over positions where there is one.
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
    """Forward and backward of a folded batch norm and of `torch.nn.functional.batch_norm` on the same tensor.

    Torch's gets 2-D inputs as (1, K*C, N), in the order a pack stores them, where its kernel is fastest. It does
    less: one momentum for all trials, and no record of the batch's own statistics.

    Args:
        seconds: Of each stretch that is timed; there are ten for a case.
    """
    rows = []
    for case in _AGAINST_TORCH:
        x, grad = _tensors(case, _TRIALS)
        norms: list[Any] = [make_norm(NormConfig(name="batch"), case.C) for _ in range(_TRIALS)]
        spreads = _microseconds(
            {"bnbench": _step(type(norms[0]).fold(norms), x, grad), "torch": _torch_step(case, x, grad)}, seconds
        )
        rows.append({"case": case.name, **spreads, "bnbench/torch": ratio(spreads["bnbench"], spreads["torch"])})
    return rows


def _tensors(case: Case, K: int) -> tuple[Tensor, Tensor]:
    """An input and its output's gradient, stored as a pack stores activations."""
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


def _torch_step(case: Case, x: Tensor, grad: Tensor) -> Callable[[], Any]:
    if case.P == 1:
        x, grad = (v.detach().t().unsqueeze(0) for v in (x, grad))
    x = x.detach().requires_grad_()
    channels = x.shape[1]
    weight, bias = (value.requires_grad_() for value in (torch.ones(channels), torch.zeros(channels)))
    mean, var = torch.zeros(channels), torch.ones(channels)

    def step() -> None:
        x.grad = weight.grad = bias.grad = None
        F.batch_norm(x, mean, var, weight, bias, True, 0.1, 1e-5).backward(grad)  # type: ignore[no-untyped-call]

    return step


def _microseconds(steps: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Spread]:
    """Each step's time, the steps taking turns."""

    def timed(step: Callable[[], Any]) -> Callable[[], float]:
        step()

        def stretch() -> float:
            count = 0
            started = time.perf_counter()
            while (elapsed := time.perf_counter() - started) < seconds or not count:
                step()
                count += 1
            return elapsed / count * 1e6

        return stretch

    measured = alternate({name: timed(step) for name, step in steps.items()}, _ROUNDS)
    return {name: Spread.of(values) for name, values in measured.items()}
