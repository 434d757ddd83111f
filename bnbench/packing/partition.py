"""Which trials are trained together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from bnbench.config import Trial
from bnbench.packing.size import trial_bytes, worker_bytes
from bnbench.packing.width import aligned_width

__all__ = ["partition"]

_WIDTH = {"fc": 16}
_CONV_WIDTH = 8


def partition(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Packs of trials that agree on `Trial.signature`, as equal in size as can be.

    Wider packs are faster until their activations leave the cache, but leave fewer for the workers to share. None is
    wider than `training.max_pack`, or than what `training.max_memory` holds (where one trial does not fit, it is
    trained all the same).

    Args:
        trials: Distinct trials in the order planned, which a pack keeps.

    Returns:
        Every trial in exactly one pack; no two packs of one signature would fit into one.
    """
    groups: dict[tuple[tuple[str, object], ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.signature, []).append(trial)
    return [pack for group in groups.values() for pack in _split(group, _width(group[0]))]


def _split(group: list[Trial], width: int) -> list[list[Trial]]:
    count = math.ceil(len(group) / width)
    bounds = [round(i * len(group) / count) for i in range(count + 1)]
    return [group[a:b] for a, b in itertools.pairwise(bounds)]


def _width(trial: Trial) -> int:
    width = trial.training.max_pack or _WIDTH.get(trial.model.name)
    if width is None:
        width = max(_CONV_WIDTH, aligned_width(1, [trial.model.width]))
    limit = trial.training.max_memory
    memory = worker_bytes() if limit is None else limit * 2**30
    return max(1, min(width, int(memory / trial_bytes(trial))))
