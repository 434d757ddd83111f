"""Times a whole sweep, and estimates the usual way's time for the same trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnbench.bench.sides import Sides


def time_whole_sweep(
    name: str, sides: Sides, folder: Path, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run a sweep from a cold start into a fresh store; then time the usual way on each kind of its trials.

    Args:
        name: The sweep's name in `conf/sweep/`.
        sides: The timed processes; only the usual one is used.
        folder: The folder for the runs of the sweep and of the usual way.
        seconds: Length of each measurement of the usual way.
        say: Where lines of progress go.
    """
    runs = str(folder / "sweep")
    say(f"sweep {name}")
    started = time.perf_counter()
    with Sides(folder) as cold:  # a process of its own, with nothing imported yet, as a command is
        cold["whole"].call("named_sweep", name=name, folder=runs)
        wall_seconds = time.perf_counter() - started
        kinds = cold["whole"].call("kinds", folder=runs)
    rates = []
    for kind in kinds:
        say(f"the usual way, {' '.join(kind['overrides'][:4])} …")
        sides["usual"].call("prepare", overrides=kind["overrides"], folder=str(folder))
        steps = sides["usual"].call("run", seconds=seconds)["wall_rate"]
        rates.append({"steps": steps, "images": sides["usual"].call("validate")})
    usual_seconds = estimate(kinds, rates)
    return {
        "sweep": name,
        "trials": sum(kind["trials"] for kind in kinds),
        "trial_steps": sum(kind["steps"] for kind in kinds),
        "seconds": wall_seconds,
        "usual_seconds_estimated": usual_seconds,
        "usual/bnbench_estimated": usual_seconds / wall_seconds,
        "kinds": [{**kind, "usual_rates": rate} for kind, rate in zip(kinds, rates, strict=True)],
    }


def estimate(kinds: Sequence[Mapping[str, Any]], rates: Sequence[Mapping[str, float]]) -> float:
    """Seconds that the usual way would need: trial-steps and evaluated images at its rates, one trial after another.

    The estimate favours it: start-up, setting up trials, and evaluation under other statistics are not counted.

    >>> estimate([{"steps": 100, "images": 50}], [{"steps": 10.0, "images": 25.0}])
    12.0
    """
    pairs = zip(kinds, rates, strict=True)
    seconds: float = sum(kind["steps"] / rate["steps"] + kind["images"] / rate["images"] for kind, rate in pairs)
    return seconds
