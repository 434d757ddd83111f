"""One workload on every side, in turn: rates, and bnbench's by the others'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bnbench.bench.options import Options
from bnbench.bench.rounds import Spread, alternate, ratio
from bnbench.bench.sides import SideError, Sides
from bnbench.bench.workloads import Workload, pack_width

__all__ = ["Prepared", "in_packs", "marginal", "measure_ratios", "prepare"]


class Prepared(dict[str, Any]):
    """What the sides said of a workload when they built it, by side; `inner` has the rate of its first steps."""


def prepare(workload: Workload, sides: Sides, folder: str, *, peers: bool, measured_width: bool) -> Prepared:
    """Have the sides build a workload.

    Args:
        workload: Which.
        sides: The timed processes.
        folder: For images.
        peers: Whether anybody but bnbench is asked.
        measured_width: Whether packs are as wide as a long sweep finds best, rather than as a short one takes them.

    Raises:
        SideError: If their networks have not the same number of parameters.
    """
    overrides = list(workload.overrides)
    width = pack_width(workload.overrides)
    if measured_width:
        width = sides.packed.ask("width", overrides=overrides, folder=folder)[0]  # with every core at work
    said = Prepared()
    inner = sides.packed.ask(
        "prepare", lambda number: {"first_seed": number * width}, overrides=overrides, folder=folder, width=width
    )
    said["inner"] = {**inner[0], "rate": sum(process["rate"] for process in inner)}
    if peers:
        said["usual"] = sides.usual.ask("prepare", overrides=overrides, folder=folder)
        said["handwritten_threads"] = sides.handwritten_threads.ask(
            "prepare", overrides=overrides, folder=folder, threads=None
        )
        said["handwritten_processes"] = sides.handwritten_processes.ask(
            "prepare", overrides=overrides, folder=folder, threads=1
        )[0]
    counts = {name: side["parameters"] for name, side in said.items()}
    if len(set(counts.values())) > 1:
        raise SideError(f"bench: the sides' networks for {workload.name} differ in parameters: {counts}")
    return said


def in_packs(workload: Workload, prepared: Prepared) -> list[str]:
    """The overrides of a whole sweep whose packs are as wide as those of the inner step."""
    return [*workload.overrides, f"training.max_pack={prepared['inner']['width']}"]


def measure_ratios(
    workload: Workload, prepared: Prepared, sides: Sides, options: Options, runs_dir: str, trials: int
) -> dict[str, Any]:
    """A row of the table of ratios.

    Args:
        workload: Which.
        prepared: What `prepare` returned for it.
        sides: The timed processes.
        options: How long, how often, and whether with whole sweeps.
        runs_dir: Where sweeps go.
        trials: How many a sweep has.
    """
    seconds = options.seconds
    turns: dict[str, Callable[[], Any]] = {
        "usual": lambda: [sides.usual.ask("run", seconds=seconds)],
        "handwritten_threads": lambda: [sides.handwritten_threads.ask("run", seconds=seconds)],
        "handwritten_processes": lambda: sides.handwritten_processes.ask("run", seconds=seconds),
        "inner": lambda: sides.packed.ask("run", seconds=seconds),
    }
    row: dict[str, Any] = {
        "workload": workload.name,
        "overrides": list(workload.overrides),
        "width": prepared["inner"]["width"],
        "sides": dict(prepared),
    }
    if "ratios" in options.sections:
        wanted = prepared["inner"]["rate"] * options.sweep_seconds / trials
        shape = sides.whole.ask("shape", overrides=in_packs(workload, prepared), steps=wanted)
        row |= {"trials": trials, "steps": shape["steps"]}

        def sweep(factor: int) -> dict[str, Any]:
            given = {"trials": trials, "steps": factor * shape["steps"], "folder": runs_dir}
            answer: dict[str, Any] = sides.whole.ask("sweep", overrides=shape["overrides"], **given)
            return answer

        turns["sweep"] = lambda: [sweep(1), sweep(2)]
    measured = alternate(turns, options.rounds)
    sweeps = measured.pop("sweep", None)
    rates = _rates(measured)
    if sweeps is not None:
        row |= _sweep_columns(sweeps, trials, row["steps"])
        rates |= row.pop("sweep_rates")
    losses = {name: [answers[0]["loss_before"], answers[-1]["loss_after"]] for name, answers in _flat(measured).items()}
    starts = Spread.of([answers[0]["start_seconds"] for answers in measured["usual"]])
    return {**row, "rates": rates, "ratios": _ratios(rates), "losses": losses, "usual_start_seconds": starts}


def _rates(measured: Mapping[str, Sequence[Any]]) -> dict[str, Spread | None]:
    """Each side's trial-steps a second; the hand-written one's is that of the better of its two ways."""
    rates: dict[str, Spread | None] = {
        name: Spread.of([sum(process["rate"] for process in answers) for answers in rounds])
        for name, rounds in measured.items()
    }
    ways = [rates[name] for name in ("handwritten_threads", "handwritten_processes")]
    rates["handwritten"] = max((way for way in ways if way is not None), key=lambda way: way.median)
    return rates


def _sweep_columns(sweeps: Sequence[Any], trials: int, steps: int) -> dict[str, Any]:
    short, long = ([pair[place]["seconds"] for pair in sweeps] for place in (0, 1))
    fixed = [2 * a - b for a, b in zip(short, long, strict=True)]
    return {
        "sweep_rates": {
            "sweep": marginal(short, long, trials * steps),
            "sweep_whole": Spread.of([2 * trials * steps / seconds for seconds in long]),
        },
        "sweep_seconds": [Spread.of(short), Spread.of(long)],
        "fixed_seconds": Spread.of(fixed),
        "tracking_seconds": Spread.of([pair[1]["tracking_seconds"] for pair in sweeps]),
    }


def marginal(short: Sequence[float], long: Sequence[float], more: int) -> Spread | None:
    """The rate of what the long sweeps do more; None if in some round they took no longer than the short ones.

    >>> marginal([3.0], [5.0], 100).median
    50.0
    """
    gaps = [b - a for a, b in zip(short, long, strict=True)]
    return Spread.of([more / gap for gap in gaps]) if min(gaps) > 0 else None


def _ratios(rates: Mapping[str, Spread | None]) -> dict[str, Spread | None]:
    made: dict[str, Spread | None] = {}
    for own in ("inner", "sweep"):
        for peer in ("usual", "handwritten"):
            over, under = rates.get(own), rates[peer]
            made[f"{own}/{peer}"] = None if over is None or under is None else ratio(over, under)
    return made


def _flat(measured: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Each side's answers of its first process, by round."""
    return {name: [answers[0] for answers in rounds] for name, rounds in measured.items()}
