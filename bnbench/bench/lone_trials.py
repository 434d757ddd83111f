"""Seconds per training step of lone trials, one after the other in this process, in turns."""

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

_BUSY_LOAD = 0.5  # of other processes, before the start
_WHOLE_CORE = 0.9


@dataclass(frozen=True)
class Turns:
    """What timing gave.

    Attributes:
        seconds_per_step: By name, each round's.
        load_before: The machine's load average of a minute, before the start.
        least_share: Of a core that the process had in its worst turn, in (0, 1].
    """

    seconds_per_step: dict[str, list[float]]
    load_before: float
    least_share: float

    @property
    def disturbed(self) -> bool:
        """Whether something else ran: ratios are then less certain than their intervals say."""
        return self.load_before > _BUSY_LOAD or self.least_share < _WHOLE_CORE


def time_lone(
    trials: Mapping[str, tuple[Trial, ImageData]], rounds: int, seconds: float, ready: Callable[[], None]
) -> Turns:
    """Time the training steps of some trials, each as plain PyTorch trains it alone, on one thread.

    They are the trials' own networks, batch norms torch's own; norms that torch lacks stay bnbench's. A trial that
    bnbench trains alone is padded to two, which would flatter whatever costs a fixed time a layer.

    Args:
        trials: With their images, by name.
        rounds: Turns of each. Their order rotates, so that none always follows the same other.
        seconds: Of each turn, at least; always whole steps.
        ready: Called when all are warm.
    """
    load = os.getloadavg()[0]
    prepare_process()
    loops = {name: fastest_loop(trial, data) for name, (trial, data) in trials.items()}
    ready()
    turns = alternate({name: partial(_turn, loop, seconds) for name, loop in loops.items()}, rounds)
    times = {name: [taken for taken, _ in measured] for name, measured in turns.items()}
    return Turns(times, load, min(share for measured in turns.values() for _, share in measured))


def _turn(loop: Loop, seconds: float) -> tuple[float, float]:
    """Seconds per step, and the share of a core."""
    started, used = time.perf_counter(), time.process_time()
    rate = loop.run(seconds)
    share = (time.process_time() - used) / (time.perf_counter() - started)
    return 1 / rate, min(share, 1.0)
