"""Measured step times of packs of several widths, stored by machine so that later sweeps need not measure again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnbench.config import Trial
from bnbench.config.trial import VARIES_IN_PACK
from bnbench.record.whole_file import replace_file

Pace = Mapping[int, float]
"""Seconds of a pack's step by the number of its trials, for one shape of step."""

_FILE = "paces.json"
_LEAST_SPEEDUP = 1.01  # that a wider pack must have over a narrower one

# Keys that do not change a step's arithmetic, beside those that may differ within a pack anyway.
_NO_SHAPE = (
    "seed",
    "training.steps",
    "training.eval",
    "training.measures",
    "schedule",
    "norm.inference",
    "optimizer.lr",
)
# Keys whose value may differ within a pack, but not between zero and above zero.
_SWITCHES = {"decays": "optimizer.weight_decay", "drops": "model.dropout"}


def shape_of(trial: Trial) -> str:
    """A key that is equal for trials whose steps do the same arithmetic, which makes them fastest at the same width."""
    return step_shape(trial.params)


def step_shape(params: Mapping[str, Any]) -> str:
    """`shape_of` of a trial with these params."""
    parts = {k: v for k, v in params.items() if k not in VARIES_IN_PACK and not k.startswith(_NO_SHAPE)}
    parts |= {name: params.get(key, 0) > 0 for name, key in _SWITCHES.items()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def best_width(pace: Pace) -> int:
    """The width that trains the most trials a second; where two are as fast, the narrower, which leaves more packs.

    >>> best_width({4: 1.0, 8: 1.5, 16: 3.0})
    8
    """
    best = min(pace)
    for width in sorted(pace):
        if width / pace[width] > best / pace[best] * _LEAST_SPEEDUP:
            best = width
    return best


def pack_step_seconds(pace: Pace, slots: int) -> float:
    """Seconds of the step of a pack of so many slots, which may be none of the widths measured.

    >>> pack_step_seconds({4: 1.0, 8: 1.5}, 6), pack_step_seconds({4: 1.0, 8: 1.5}, 2)
    (1.125, 1.0)
    """
    nearest = min((width for width in pace if width >= slots), default=max(pace))
    # Below the narrowest width that was measured a step is mostly overhead, and takes hardly less time.
    return pace[nearest] * max(slots, min(pace)) / nearest


def load_paces(folder: Path, machine: str) -> dict[str, Pace]:
    """The paces that were measured on this machine, by shape."""
    shapes = _load(folder).get(machine, {})
    return {shape: {int(width): seconds for width, seconds in pace.items()} for shape, pace in shapes.items()}


def save_paces(folder: Path, machine: str, paces: Mapping[str, Pace]) -> None:
    """Store paces for later sweeps, beside those of other machines that share the folder."""
    stored = _load(folder)
    stored[machine] = {**stored.get(machine, {}), **{shape: dict(pace) for shape, pace in paces.items()}}
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / _FILE, json.dumps(stored, indent=1))


def _load(folder: Path) -> dict[str, dict[str, dict[Any, float]]]:
    try:
        stored: dict[str, dict[str, dict[Any, float]]] = json.loads((folder / _FILE).read_text())
    except (FileNotFoundError, ValueError):  # with a damaged file the paces are measured again
        return {}
    return stored
