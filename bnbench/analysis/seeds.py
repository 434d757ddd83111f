"""Lists of seeds written as ranges."""

from __future__ import annotations

from collections.abc import Sequence


def seed_ranges(seeds: Sequence[int]) -> str:
    """The seeds as a text in which consecutive ones are written as a range.

    >>> seed_ranges([0, 1, 2, 5, 100, 101])
    '0-2, 5, 100-101'
    """
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
