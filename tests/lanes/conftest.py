"""The compiled libraries; and the tests here may import the cases that lie beside them."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bnbench.lanes import library as lanes_library
from bnbench.lanes.compiling import LIBRARIES, library_file, note_file

sys.path.append(str(Path(__file__).parent))

NAMES = {"avx512": "x86_64_v4", "avx2": "x86_64_v3", "neon": "aarch64"}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Networks this small are no faster in torch with more threads, and far slower where other processes have them."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def library() -> Callable[[str], ctypes.CDLL]:
    """Loads the library of an instruction set; skips where this processor or this installation has none."""

    def load(instruction_set: str) -> ctypes.CDLL:
        name = NAMES[instruction_set]
        note = json.loads(note_file(LIBRARIES).read_text())
        if name not in note["libraries"]:
            pytest.skip(f"{name} is not compiled here: {note['problem'] or 'it is for another kind of machine'}")
        if lanes_library._lacking(name):
            pytest.skip(f"this processor has no {', '.join(lanes_library._lacking(name))}")
        return ctypes.CDLL(str(library_file(LIBRARIES, name)))

    return load


@pytest.fixture(scope="session")
def best() -> ctypes.CDLL:
    """The library that sweeps use here."""
    found = lanes_library.load_library()
    if found is None:
        pytest.skip(f"no kernels: {lanes_library.why_no_kernels()}")
    return found
