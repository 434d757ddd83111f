"""Where every random number comes from: one stream per (seed, purpose), never the global generator."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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


def reseed(seed: int) -> None:
    """Start the global generators of torch, NumPy and Python from a seed, for code of the user's own.

    `torch.manual_seed` would write down a stack trace for every GPU that is not in use, which takes longer than a step.
    """
    import numpy as np
    import torch

    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Restores the state of the global generators at the end, whatever is drawn inside."""
    import numpy as np
    import torch

    numpy_state, python_state = np.random.get_state(), random.getstate()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Starts the global generators from this seed, and restores their state at the end."""
    with generators_kept():
        reseed(seed)
        yield


def generator_states() -> tuple[object, ...]:
    """The states of this CPU's global generators, which any draw from one of them changes."""
    import numpy as np
    import torch

    kind, keys, *rest = np.random.get_state(legacy=True)
    return torch.get_rng_state().numpy().tobytes(), (kind, keys.tobytes(), *rest), random.getstate()  # type: ignore[union-attr]
