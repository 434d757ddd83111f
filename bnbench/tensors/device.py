"""Which device trials are trained on; asks torch only where there may be a GPU, for planning does without torch."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/version")


@cache
def has_gpu() -> bool:
    """Whether torch can train on a GPU here."""
    if os.name == "posix" and not _DRIVER.exists():  # torch takes seconds to find the same
        return False
    import torch

    return torch.cuda.is_available()


def memory_bytes(device: str) -> int:
    """The total memory of a device in bytes."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
