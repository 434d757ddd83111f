"""When a sweep that goes on until it is settled looks at its results: after how many pairs of each contrast."""

from __future__ import annotations

FIRST_LOOK = 10

_CLOSE = 1.1  # a look with fewer than a tenth of its pairs to go to the cap would ask the same question twice


def looks_up_to(max_seeds: int) -> tuple[int, ...]:
    """The numbers of pairs at which a sweep looks, and last of all the cap.

    They are 10, 16 and 24, then every 8 pairs up to 64, every 16 up to 128, and so on: whole packs of trials, and no
    look that comes much too late.

    Raises:
        ValueError: If the cap is below the first look.

    >>> looks_up_to(64)
    (10, 16, 24, 32, 40, 48, 56, 64)
    >>> looks_up_to(20), looks_up_to(100)[-3:]
    ((10, 16, 20), (64, 80, 100))
    """
    if max_seeds < FIRST_LOOK:
        raise ValueError(f"max_seeds={max_seeds} is below the first look; give at least {FIRST_LOOK}")
    looks, look, step = [], FIRST_LOOK, 6
    while look * _CLOSE <= max_seeds:
        looks.append(look)
        look += step
        step = max(8, 2 ** (look.bit_length() - 3))
    return (*looks, max_seeds)
