"""Times the training steps of lone trials, which take turns in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bnbench.bench.loop import Loop, fastest_loop
from bnbench.bench.rounds import alternate
from bnbench.config import Trial
from bnbench.data import ImageData
from bnbench.training.process import prepare_process

_BUSY_LOAD = 0.5  # load average before the start above which the machine counts as busy
_WHOLE_CORE = 0.9  # share of a core below which the process counts as disturbed


@dataclass(frozen=True)
class Turns:
    """The measured times, and whether the machine was free.

    Attributes:
        seconds_per_step: The seconds of one training step by the trial's name, one value per round.
        load_before: The machine's load average over one minute, before the start.
        least_share: The share of a core that the process had in its worst turn, in (0, 1].
    """

    seconds_per_step: dict[str, list[float]]
    load_before: float
    least_share: float

    @property
    def disturbed(self) -> bool:
        """Whether something else ran on the machine: ratios are then less certain than their intervals say."""
        return self.load_before > _BUSY_LOAD or self.least_share < _WHOLE_CORE


def time_lone(
    trials: Mapping[str, tuple[Trial, ImageData]], rounds: int, seconds: float, ready: Callable[[], None]
) -> Turns:
    """Time the training steps of some trials, each as plain PyTorch trains it alone, on one thread.

    The networks are the trials' own, with torch's batch norms; norms that torch lacks stay bnbench's. Packs are not
    timed: they pad a lone trial to two, which would flatter whatever costs a fixed time per layer.

    Args:
        trials: The trials with their images, by name.
        rounds: Turns of each trial. Their order rotates, so that none always follows the same other.
        seconds: Least length of each turn, which ends with a whole step.
        ready: Called when all trials are warmed up.
    """
    load = os.getloadavg()[0]
    prepare_process()
    loops = {name: fastest_loop(trial, data) for name, (trial, data) in trials.items()}
    ready()
    turns = alternate({name: partial(_turn, loop, seconds) for name, loop in loops.items()}, rounds)
    times = {name: [taken for taken, _ in measured] for name, measured in turns.items()}
    return Turns(times, load, min(share for measured in turns.values() for _, share in measured))


def _turn(loop: Loop, seconds: float) -> tuple[float, float]:
    """The seconds per step of one turn, and the share of a core that the process had."""
    started, used = time.perf_counter(), time.process_time()
    rate = loop.run(seconds)
    share = (time.process_time() - used) / (time.perf_counter() - started)
    return 1 / rate, min(share, 1.0)
