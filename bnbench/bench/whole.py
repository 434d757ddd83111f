"""The side that runs whole sweeps through `bnbench.run`: planned, trained by workers, evaluated and tracked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

import bnbench
from bnbench.bench.recording import time_recording
from bnbench.bench.workloads import trials_of
from bnbench.config import Config, Trial
from bnbench.config.evaluation_grid import evaluation_examples, evaluation_steps
from bnbench.config.trial import VARIES_IN_PACK, flatten
from bnbench.data import DATASETS

# Keys on which the rate of the usual way does not depend.
_KEYS_WITHOUT_EFFECT = VARIES_IN_PACK | {"training.steps", "training.eval_grid", "training.eval_every"}


class Side:
    """The process that runs a sweep, and that records trials without training any."""

    def recording(self, folder: str, trials: int, points: int) -> dict[str, float]:
        """See `time_recording`."""
        return time_recording(Path(folder), trials, points)

    def named_sweep(self, name: str, folder: str) -> None:
        """Run the sweep `+sweep=name` as it stands."""
        bnbench.run(f"+sweep={name}", f'runs_dir="{folder}"')

    def kinds(self, folder: str) -> list[dict[str, Any]]:
        """The `kinds_of_trials` that the newest sweep in a `runs_dir` trained."""
        return kinds_of_trials(bnbench.load("latest", f'runs_dir="{folder}"').trials)


def kinds_of_trials(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The trained trials of a sweep's table, grouped by all that the usual way's speed depends on.

    Returns:
        For each group its `overrides`, the number of `trials`, and over all of these the number of `steps` and of
        evaluated `images`: on the grid under one kind of statistics, and the whole test split once.
    """
    keys = [key for key in flatten(Config()) if key in table]
    kinds: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in table[table["status"].isin(["finished", "diverged"])][keys].to_dict("records"):
        params = {str(key): value for key, value in row.items() if not pd.isna(value)}
        overrides = tuple(_overrides((key, value) for key, value in params.items() if key not in _KEYS_WITHOUT_EFFECT))
        kind = kinds.setdefault(overrides, {"overrides": [*overrides], "trials": 0, "steps": 0, "images": 0})
        (trial,) = trials_of(overrides, [0])
        steps = int(params["training.steps"])
        kind["trials"] += 1
        kind["steps"] += steps
        kind["images"] += _images(replace(trial, steps=steps))
    return [*kinds.values()]


def _overrides(params: Iterable[tuple[str, Any]]) -> list[str]:
    """Params as overrides: config groups first, so that they do not undo what is set within them."""
    texts = [f"{key}={_text(value)}" for key, value in params]
    return sorted(texts, key=lambda text: ("." in text.partition("=")[0], text))


def _text(value: Any) -> str:
    """A value as Hydra reads it; whole numbers may be floats, as they are in a table's column with gaps."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _images(trial: Trial) -> int:
    info = DATASETS[trial.data.name]
    return len(evaluation_steps(trial)) * evaluation_examples(trial, info.val) + info.test
