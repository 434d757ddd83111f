"""Where every random number comes from: one stream per (seed, purpose), never the global generator."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["derive", "generator", "seeded"]


def derive(seed: int, *parts: str | int) -> int:
    """A 63-bit seed for one purpose, independent of every other purpose's.

    Keying a stream by its purpose, not by the order of the draws, is what lets a trial see the
    same weights and batches alone, packed with others, or resumed in the middle.

    Args:
        seed: The trial's seed.
        parts: What the stream is for, such as `"init", "blocks.0.linear.weight"` or `"order", epoch`.

    Example:
        >>> derive(0, "order", 3) == derive(0, "order", 3)
        True
        >>> derive(0, "order", 3) == derive(1, "order", 3)
        False
    """
    text = "\x1f".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *parts: str | int) -> torch.Generator:
    """A CPU `torch.Generator` for one purpose; see `derive`."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *parts))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, the global generators of torch, NumPy and Python start from this seed; outside they are as they were.

    For code of the user's own, which knows no others.
    """
    import numpy as np
    import torch

    of_numpy, of_python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_initialized() else []):  # type: ignore[no-untyped-call]
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)
