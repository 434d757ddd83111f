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
    for _ in range(10):
        [torch.ones(1_000_000) for _ in range(20)]
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
    """200 tensors of 4 MB, 20 at a time."""
    pages = 200 * 4_000_000 // resource.getpagesize()
    assert page_faults("kept") < pages / 100 < pages / 2 < page_faults("default")
