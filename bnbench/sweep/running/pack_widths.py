"""Pack widths for a sweep that is long enough for measuring them to pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path

from joblib import Parallel, cpu_count, delayed

from bnbench.config import Engine, Trial, environment
from bnbench.data import load_images
from bnbench.packing.memory import trials_in_memory
from bnbench.packing.paces import Pace, load_paces, save_paces, shape_of
from bnbench.packing.partition import CANDIDATES
from bnbench.sweep.planning.describe import count
from bnbench.sweep.planning.plan import Plan
from bnbench.sweep.running.interruption import workers_ignore_ctrl_c

_SECONDS_A_SHAPE = 5
_START_SECONDS = 10
_SHARE = 0.05  # of the sweep's time, at most


def calibrated(plan: Plan, cache: Path, workers: int, say: Callable[[str], None]) -> Plan:
    """The plan in packs of the widths that are fastest here, measured before or now, and enough of them to share.

    Now where that takes less than a twentieth of the time that training is estimated to: the shapes with most to
    train first. What was measured is kept in `cache`.
    """
    machine = _machine()
    paces = load_paces(cache, machine)
    here = min(workers, int(cpu_count()))  # the workers of a cluster are elsewhere, and it is measured on this machine
    budget = _SHARE * plan.seconds / workers - _START_SECONDS
    affordable = max(0, int(budget * here / _SECONDS_A_SHAPE))
    unknown = list(_unknown(plan, paces).items())[:affordable]
    if unknown:
        say(f"measuring how many trials to train together, for {count(len(unknown), 'shape')}")
        try:
            with workers_ignore_ctrl_c():
                measured = Parallel(n_jobs=here)(delayed(_measure)(trial, cache) for _, trial in unknown)
        except BrokenExecutor:
            say("a worker was killed while it measured; packs are as wide as they are by default")
            return plan.repacked(paces, workers)
        new = {shape: pace for (shape, _), pace in zip(unknown, measured, strict=True)}
        save_paces(cache, machine, new)
        paces |= new
    return plan.repacked(paces, workers)


def _unknown(plan: Plan, paces: Mapping[str, Pace]) -> dict[str, Trial]:
    """A trial of each shape whose width is not known and not given, the shapes with most to train first."""
    seconds: dict[str, float] = {}
    trials: dict[str, Trial] = {}
    for pack in plan.packs:
        trial = pack[0].trial
        shape = shape_of(trial)
        if trial.training.engine == Engine.lanes:
            continue  # its packs have one width
        if shape not in paces and trial.training.max_pack is None and len(pack) >= CANDIDATES[0]:
            seconds[shape] = seconds.get(shape, 0.0) + plan.pack_seconds(pack)
            trials.setdefault(shape, trial)
    return {shape: trials[shape] for shape in sorted(seconds, key=lambda shape: -seconds[shape])}


def _measure(trial: Trial, cache: Path) -> dict[int, float]:
    from bnbench.tensors.vision_ops import ensure_torchvision

    ensure_torchvision()  # before Lightning
    from bnbench.training.pace import measure_pace

    held = trials_in_memory(trial)
    widths = [width for width in CANDIDATES if width <= held] or CANDIDATES[:1]
    return measure_pace(trial, load_images(trial.data, cache), widths)


def _machine() -> str:
    hardware = environment.hardware()
    return f"{hardware['cpu']}, {hardware['cores']} cores, torch {environment.versions().get('torch')}"
