"""When a sweep that goes on until it is settled looks at its results: after how many pairs of each contrast."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

_DECADE = (10, 16, 24, 40, 64)  # each about 1.6 times the one before, so that no look comes much too late
FIRST_LOOK = _DECADE[0]
_CLOSE = 1.1  # a look with fewer than a tenth of its pairs to go to the cap would ask the same question twice


def looks_up_to(max_seeds: int) -> tuple[int, ...]:
    """The numbers of pairs at which a sweep looks: 10, 16, 24, 40, 64, 100, 160, ..., and last of all the cap.

    Raises:
        ValueError: If the cap is below the first look.

    >>> looks_up_to(64), looks_up_to(20), looks_up_to(100)
    ((10, 16, 24, 40, 64), (10, 16, 20), (10, 16, 24, 40, 64, 100))
    """
    if max_seeds < FIRST_LOOK:
        raise ValueError(f"max_seeds={max_seeds} is below the first look; give at least {FIRST_LOOK}")
    looks = []
    for look in scheduled_looks():
        if look * _CLOSE > max_seeds:
            break
        looks.append(look)
    return (*looks, max_seeds)


def scheduled_looks() -> Iterator[int]:
    """The looks of a sweep without a cap, in ascending order and without end."""
    for power in count():
        yield from (look * 10**power for look in _DECADE)
