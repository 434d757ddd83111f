"""Times one workload on all sides in turns: the rate of each, and the ratios of bnbench's rate to the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bnbench.bench.options import Options
from bnbench.bench.rounds import Spread, alternate, ratio
from bnbench.bench.sides import SideError, Sides
from bnbench.bench.workloads import Workload, pack_width


class Prepared(dict[str, Any]):
    """Each side's answer after building a workload, by the side's name; `inner` has the rate of its first steps."""


def prepare(workload: Workload, sides: Sides, folder: str, *, measured_width: bool) -> Prepared:
    """Have the sides build a workload.

    Args:
        workload: The workload.
        sides: The timed processes.
        folder: Where parsed images are cached.
        measured_width: Whether packs are as wide as a long sweep finds best, rather than as a short one takes them.

    Raises:
        SideError: If the sides' networks differ in the number of parameters.
    """
    arguments: dict[str, Any] = {"overrides": list(workload.overrides), "folder": folder}
    width = pack_width(workload.overrides)
    if measured_width:
        width = sides.packed.call("width", **arguments)[0]  # measured with every core at work
    inner = sides.packed.call("prepare", lambda number: {"first_seed": number * width}, **arguments, width=width)
    prepared = Prepared(
        inner={**inner[0], "rate": sum(process["rate"] for process in inner)},
        usual=sides.usual.call("prepare", **arguments),
        handwritten_threads=sides.handwritten_threads.call("prepare", **arguments, threads=None),
        handwritten_processes=sides.handwritten_processes.call("prepare", **arguments, threads=1)[0],
    )
    counts = {name: side["parameters"] for name, side in prepared.items()}
    if len(set(counts.values())) > 1:
        raise SideError(f"bench: the sides' networks for {workload.name} differ in parameters: {counts}")
    return prepared


def measure_ratios(workload: Workload, prepared: Prepared, sides: Sides, options: Options) -> dict[str, Any]:
    """A row of the table of ratios.

    Args:
        workload: The workload.
        prepared: What `prepare` returned for it.
        sides: The timed processes.
        options: The length of turns and the number of rounds.
    """
    seconds = options.seconds
    turns: dict[str, Callable[[], Any]] = {
        "usual": lambda: [sides.usual.call("run", seconds=seconds)],
        "handwritten_threads": lambda: [sides.handwritten_threads.call("run", seconds=seconds)],
        "handwritten_processes": lambda: sides.handwritten_processes.call("run", seconds=seconds),
        "inner": lambda: sides.packed.call("run", seconds=seconds),
    }
    measured = alternate(turns, options.rounds)
    rates = _rates(measured)
    losses = {name: [rounds[0][0]["loss_before"], rounds[-1][0]["loss_after"]] for name, rounds in measured.items()}
    return {
        "workload": workload.name,
        "overrides": list(workload.overrides),
        "width": prepared["inner"]["width"],
        "sides": dict(prepared),
        "rates": rates,
        "ratios": {f"inner/{peer}": ratio(rates["inner"], rates[peer]) for peer in ("usual", "handwritten")},
        "losses": losses,
        "usual_start_seconds": Spread.of([answers[0]["start_seconds"] for answers in measured["usual"]]),
    }


def _rates(measured: Mapping[str, Sequence[Any]]) -> dict[str, Spread]:
    """The spread of each side's trial-steps per second; `handwritten` is the faster of its two ways."""
    rates = {
        name: Spread.of([sum(process["rate"] for process in answers) for answers in rounds])
        for name, rounds in measured.items()
    }
    ways = rates["handwritten_threads"], rates["handwritten_processes"]
    return {**rates, "handwritten": max(ways, key=lambda way: way.median)}
