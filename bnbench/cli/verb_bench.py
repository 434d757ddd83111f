"""`python -m bnbench bench`: bnbench's speed on this machine."""

from __future__ import annotations

from collections.abc import Sequence


def main(words: Sequence[str]) -> None:
    """Time bnbench on this machine beside the usual way and a hand-written loop."""
    from bnbench.bench.command import bench as run

    run(words)
