"""The hand-written side: the tightest plain PyTorch loop for one trial, on one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bnbench.bench.loop import fastest_loop
from bnbench.bench.plain import parameter_count
from bnbench.bench.rounds import Clock
from bnbench.bench.workloads import load_images, trials_of


class Side:
    """The process of the hand-written side, which runs one `Loop`."""

    def __init__(self) -> None:
        torch.set_num_threads(1)

    def prepare(self, overrides: list[str], folder: str) -> dict[str, Any]:
        """Build and warm up a trial.

        Args:
            overrides: The workload's overrides.
            folder: Where parsed images are cached.
        """
        (trial,) = trials_of(overrides, [0])
        self._loop = fastest_loop(trial, load_images(tuple(overrides), Path(folder)))
        return {
            "parameters": parameter_count(self._loop.net),
            "layout": str(self._loop.layout).removeprefix("torch."),
            "threads": torch.get_num_threads(),
        }

    def run(self, seconds: float) -> dict[str, float]:
        """The rates of steps over at least `seconds`, and the training loss before and after."""
        before = self._loop.loss()
        clock = Clock()
        rates = clock.rates(self._loop.run(seconds) * clock.wall_seconds)
        return {**rates, "loss_before": before, "loss_after": self._loop.loss()}
