"""Freed memory stays with the process: a step of training does not ask the system for its activations again."""

import platform
import resource
import subprocess
import sys

import pytest

_PAGES = """
import resource, sys, torch
from bnbench.training.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def work():
    for _ in range(50):
        torch.ones(1_000_000).sum()
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    script = [sys.executable, "-c", _PAGES, mode]
    return int(subprocess.run(script, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other habits")
def test_memory_that_was_freed_is_not_asked_for_again():
    """50 tensors of 4 MB: 1,000 pages each, or fewer where the system's pages are larger."""
    assert page_faults("kept") <= 50 * 4_000_000 // resource.getpagesize() // 100
