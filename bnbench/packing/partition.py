"""Which trials are trained together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence

from bnbench.config import Engine, Trial
from bnbench.lanes.compiling import LANES
from bnbench.packing.memory import conv_channels, trials_in_memory
from bnbench.packing.paces import shape_of
from bnbench.packing.slots import alignment

# Widths used where none was measured, good on one machine; for conv layers by the largest batch size they are for.
_LINEAR_WIDTH = 32
_CONV_WIDTHS = {2: 32, 32: 16}
_CONV_WIDTH = 8

CANDIDATES = (4, 8, 16, 32, 64)
"""Widths that are measured to choose the fastest."""


def partition(
    trials: Sequence[Trial],
    widths: Mapping[str, int] | None = None,
    workers: int = 1,
    alone: Collection[str] = (),
) -> list[list[Trial]]:
    """Packs of trials that agree on `Trial.signature`, as equal in slots as can be.

    Wider packs are faster until their activations leave the cache, but leave fewer for the workers to share. None is
    wider than `training.max_pack`, or than what `training.max_memory` holds (where one trial does not fit, it is
    trained all the same). Packs of the kernels are as wide as their vectors: a narrower one takes no less time.

    Args:
        trials: Distinct trials in the order planned, which a pack keeps.
        widths: The measured fastest widths, by `shape_of`; shapes without a measurement get a rough width.
        workers: How many packs can be trained at once: with fewer packs than that, the largest are halved as long
            as their halves are worth a worker.
        alone: Keys of the trials whose networks cannot be packed: each is a pack of its own.

    Returns:
        Packs with every trial in exactly one. Two packs of one signature could be merged only where a pack was halved
        to occupy another worker.
    """
    groups: dict[tuple[tuple[str, object], ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.signature, []).append(trial)
    packs: list[list[Trial]] = []
    for group in groups.values():
        packs += (
            [[trial] for trial in group] if group[0].key in alone else _packs(group, _width(group[0], widths or {}))
        )
    while 0 < len(packs) < workers:
        divisible = [i for i, pack in enumerate(packs) if pack[0].training.engine != Engine.lanes]
        if not divisible:
            break
        largest = max(divisible, key=lambda i: len(packs[i]))
        pack, step = packs[largest], _step(packs[largest][0])
        if len(pack) < 2 * CANDIDATES[0] or len(pack) <= step:
            break
        packs[largest : largest + 1] = _split(pack, 2, step)
    return packs


def _packs(group: list[Trial], width: int) -> list[list[Trial]]:
    step = min(width, _step(group[0]))
    units = math.ceil(len(group) / step)
    return _split(group, math.ceil(units / (width // step)), step)


def _split(group: list[Trial], count: int, step: int) -> list[list[Trial]]:
    """So many parts, all but the last a multiple of `step` long: only one pack then needs padding."""
    units = math.ceil(len(group) / step)
    bounds = [min(len(group), step * round(i * units / count)) for i in range(count + 1)]
    return [group[a:b] for a, b in itertools.pairwise(bounds)]


def _step(trial: Trial) -> int:
    return 1 if trial.training.engine == Engine.lanes else alignment(conv_channels(trial))


def _width(trial: Trial, widths: Mapping[str, int]) -> int:
    if trial.training.engine == Engine.lanes:
        return min(trial.training.max_pack or LANES, LANES, trials_in_memory(trial))
    width = trial.training.max_pack or widths.get(shape_of(trial)) or _rough_width(trial)
    return min(width, trials_in_memory(trial))


def _rough_width(trial: Trial) -> int:
    if not conv_channels(trial):
        return _LINEAR_WIDTH
    fitting = (width for batch, width in _CONV_WIDTHS.items() if trial.training.batch_size <= batch)
    return max(next(fitting, _CONV_WIDTH), _step(trial))
