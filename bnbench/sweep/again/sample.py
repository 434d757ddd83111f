"""A few trials of a sweep that stand for all of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bnbench.config import ConfigError, Trial
from bnbench.config.trial import VARIES_IN_PACK
from bnbench.data import dataset_info
from bnbench.record.names import Tag
from bnbench.record.results import Recorded
from bnbench.sweep.planning.estimate import training_seconds
from bnbench.sweep.planning.rebuild import rebuild


def sample_size(typed: str) -> int | None:
    """The number of trials that `--sample` asks for; None for all of them.

    Raises:
        ConfigError: If it is neither a number nor `all`.
    """
    if typed != "all" and not (typed.isdecimal() and int(typed)):
        raise ConfigError(f"--sample {typed} is not allowed; it must be a whole number >= 1, or all")
    return None if typed == "all" else int(typed)


def choose(recorded: Sequence[Recorded], varied: Sequence[str], number: int, root: str | None = None) -> list[Recorded]:
    """Up to `number` trials that cover the sweep; the same ones each time.

    The next one is always that with the most traits not seen yet: the values of what varies in the sweep, the shape
    that decides its pack, tuning or reporting, finished or diverged. Among equals it is of the shape taken least, then
    the quickest to train, then the first planned: a long training is repeated only where it shows something new.
    Images of the user's own are looked up for that, in `root` if they are not where their sweep found them.
    """
    if number >= len(recorded):
        return [*recorded]
    shapes = [json.dumps({k: v for k, v in r.result.params.items() if k not in VARIES_IN_PACK}) for r in recorded]
    seconds = {shape: _seconds(r, root) for shape, r in dict(zip(shapes, recorded, strict=True)).items()}
    traits = [
        {("shape", shape), ("tuning", r.tuning), ("status", r.result.status)}
        | {(key, r.result.params.get(key)) for key in varied}
        for shape, r in zip(shapes, recorded, strict=True)
    ]
    taken: Counter[str] = Counter()
    seen: set[tuple[str, Any]] = set()
    chosen: list[int] = []
    for _ in range(number):
        best = min(
            (i for i in range(len(recorded)) if i not in chosen),
            key=lambda i: (-len(traits[i] - seen), taken[shapes[i]], seconds[shapes[i]], i),
        )
        chosen.append(best)
        taken[shapes[best]] += 1
        seen |= traits[best]
    return [recorded[i] for i in chosen]


def _seconds(recorded: Recorded, root: str | None) -> float:
    config = rebuild(recorded.result, recorded.origin, root=root)
    trial = Trial.from_config(config, train_size=dataset_info(config.data).train, data_checksum="")
    return training_seconds([trial], alone=recorded.result.tags.get(Tag.ALONE) == "true")
