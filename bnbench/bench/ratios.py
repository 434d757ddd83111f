"""Times one workload on all sides in turns: the rate of each, and the ratios of bnbench's rates to the others."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bnbench.bench.options import Options
from bnbench.bench.rounds import Spread, alternate, ratio
from bnbench.bench.sides import SideError, Sides
from bnbench.bench.taking_part import taking_part
from bnbench.bench.workloads import Workload, pack_width

RATIOS = (
    ("lanes", "torch"),
    ("lanes", "jax"),
    ("lanes", "handwritten"),
    ("lanes", "usual"),
    ("torch", "handwritten"),
    ("torch", "usual"),
)
"""The sides whose rates are compared: the first's is divided by the second's."""

_COMPARED_STEPS = 64  # after these steps, the losses of JAX's trials are compared with the lanes'
_TOLERANCE = 1e-3  # of the loss, for most trials; in a few, rounding moves a ReLU across its kink


class Prepared(dict[str, Any]):
    """The answer of each side that takes part after building a workload, by the side's name."""


def prepare(workload: Workload, sides: Sides, folder: str, *, measured_width: bool) -> Prepared:
    """Have the sides build a workload.

    Args:
        workload: The workload.
        sides: The timed processes.
        folder: Where parsed images are cached.
        measured_width: Whether torch's packs are as wide as a long sweep finds best, rather than as a short one takes
            them.

    Raises:
        SideError: If the sides' networks differ in the number of parameters, or JAX's losses from the lanes'.
    """
    common: dict[str, Any] = {"overrides": list(workload.overrides), "folder": folder}
    on_torch = {**common, "overrides": [*workload.overrides, "training.engine=torch"]}
    width = pack_width(tuple(on_torch["overrides"]))
    if measured_width:
        width = sides["torch"].call("width", **on_torch)
    arguments: dict[str, dict[str, Any]] = {
        "usual": {**common, "threads": 1},
        "handwritten": common,
        "torch": {**on_torch, "width": width},
        "lanes": {**common, "overrides": [*workload.overrides, "training.engine=lanes"]},
        "jax": common,
    }
    prepared = Prepared({name: sides[name].call("prepare", **arguments[name]) for name in taking_part(workload)})
    counts = {name: side["parameters"] for name, side in prepared.items()}
    if len(set(counts.values())) > 1:
        raise SideError(f"bench: the sides' networks for {workload.name} differ in parameters: {counts}")
    if "jax" in prepared:
        _compare_losses(workload, sides)
    return prepared


def _compare_losses(workload: Workload, sides: Sides) -> None:
    lanes, jax = (sides[name].call("losses_after", steps=_COMPARED_STEPS) for name in ("lanes", "jax"))
    apart = statistics.median(abs(a - b) / a for a, b in zip(lanes, jax, strict=True))
    if not apart <= _TOLERANCE:
        raise SideError(
            f"bench: after {_COMPARED_STEPS} steps of {workload.name}, JAX's losses are {apart:.2g} of them from lanes'"
        )


def measure_ratios(workload: Workload, prepared: Prepared, sides: Sides, options: Options) -> dict[str, Any]:
    """A row of the tables of rates and ratios.

    Args:
        workload: The workload.
        prepared: What `prepare` returned for it.
        sides: The timed processes.
        options: The length of turns and the number of rounds.
    """
    measured = alternate(
        {name: partial(sides[name].call, "run", seconds=options.seconds) for name in prepared}, options.rounds
    )
    rates, wall_rates = (_spreads(measured, key) for key in ("rate", "wall_rate"))
    row = {
        "workload": workload.name,
        "overrides": list(workload.overrides),
        "sides": dict(prepared),
        "rates": rates,
        "wall_rates": wall_rates,
        "ratios": _ratios(rates),
        "wall_ratios": _ratios(wall_rates),
        "losses": {name: [rounds[0]["loss_before"], rounds[-1]["loss_after"]] for name, rounds in measured.items()},
        "usual_start_seconds": Spread.of([answer["start_seconds"] for answer in measured["usual"]]),
    }
    if "lanes" in measured:
        operations, peak = (
            Spread.of([answer[key] for answer in measured["lanes"]]) for key in ("operations", "peak_operations")
        )
        row |= {"operations": operations, "peak_operations": peak, "share_of_peak": ratio(operations, peak)}
    return row


def _spreads(measured: Mapping[str, Sequence[Mapping[str, float]]], key: str) -> dict[str, Spread]:
    return {name: Spread.of([answer[key] for answer in rounds]) for name, rounds in measured.items()}


def _ratios(rates: Mapping[str, Spread]) -> dict[str, Spread]:
    """The spreads of those ratios whose sides both took part."""
    return {
        f"{over}/{under}": ratio(rates[over], rates[under])
        for over, under in RATIOS
        if over in rates and under in rates
    }
