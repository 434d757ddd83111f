"""The pack widths that were measured to be fastest on this machine, kept between sweeps."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnbench.config import Trial
from bnbench.config.trial import VARIES_IN_PACK

__all__ = ["load_widths", "save_widths", "shape_of", "step_shape"]

_FILE = "pack_widths.json"

# What a step's arithmetic does not depend on, though trials of a pack may differ in none but some of it.
_NO_SHAPE = (
    "seed",
    "training.steps",
    "training.eval",
    "training.measures",
    "schedule",
    "norm.inference",
    "optimizer.lr",
)
# May differ in a pack, but not between none and some.
_SWITCHES = {"decays": "optimizer.weight_decay", "drops": "model.dropout"}


def shape_of(trial: Trial) -> str:
    """A key that trials share whose steps do the same arithmetic, and so are fastest at the same width."""
    return step_shape(trial.params)


def step_shape(params: Mapping[str, Any]) -> str:
    """`shape_of` of a trial with these params."""
    parts = {k: v for k, v in params.items() if k not in VARIES_IN_PACK and not k.startswith(_NO_SHAPE)}
    parts |= {name: params.get(key, 0) > 0 for name, key in _SWITCHES.items()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def load_widths(folder: Path, machine: str) -> dict[str, int]:
    """Widths by shape, as far as they were measured on this machine."""
    return _load(folder).get(machine, {})


def save_widths(folder: Path, machine: str, widths: Mapping[str, int]) -> None:
    """Keep widths for later sweeps, beside those of other machines that share the folder."""
    file = folder / _FILE
    known = _load(folder)
    known[machine] = {**known.get(machine, {}), **widths}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(known, indent=1))
    os.replace(temporary, file)


def _load(folder: Path) -> dict[str, dict[str, int]]:
    try:
        known: dict[str, dict[str, int]] = json.loads((folder / _FILE).read_text())
    except (FileNotFoundError, ValueError):  # a damaged file costs a measurement, no sweep
        return {}
    return known
