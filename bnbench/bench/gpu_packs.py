"""Packs on a GPU beside the same trials one after another on that GPU."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from bnbench.bench.packed import make_pack, train_for, warm_up
from bnbench.bench.workloads import load_images, trials_of

_PACKS = {
    "fc": (256, ("model=fc", "optimizer=sgd", "optimizer.lr=0.1", "training.batch_size=64")),
    "cnn": (64, ("model=cnn", "model.width=2", "optimizer=adam", "optimizer.lr=0.003", "training.batch_size=32")),
}
"""The width of each pack, and its trials."""


def packs_against_lone(seconds: float, folder: Path, device: str = "cuda") -> dict[str, Any]:
    """The GPU's name, and the rates of trial-steps, by wall time, of a wide pack and of a lone trial of each kind.

    Args:
        seconds: For how long each is trained.
        folder: Where data sets are kept.
        device: Where they are trained.
    """
    rows = []
    for model, (width, words) in _PACKS.items():
        for norm in ("none", "batch"):
            overrides = [*words, "data=mnist_5k", f"norm={norm}", f"training.device={device}", "training.engine=torch"]
            pack, lone = (_rate(overrides, trials, seconds, folder) for trials in (width, 1))
            rows.append(
                {"workload": f"{model}-{norm}", "width": width, "pack": pack, "lone": lone, "ratio": pack / lone}
            )
    return {"card": torch.cuda.get_device_name() if device == "cuda" else device, "packs": rows}


def _rate(overrides: list[str], width: int, seconds: float, folder: Path) -> float:
    module = make_pack(trials_of(overrides, range(width)), load_images(tuple(overrides), folder))
    a_step = warm_up(module)
    started = time.perf_counter()
    steps = train_for(module, seconds, a_step)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return width * steps / (time.perf_counter() - started)
