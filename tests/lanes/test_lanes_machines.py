"""The same networks, trained by programs for several kinds of processors, have the same bits.

They are compiled here: by ziglang where it is installed, which compiles for other processors too, else by the system's
compiler. Programs for aarch64 run on others under QEMU's user mode, where that is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bnbench.lanes import library
from bnbench.lanes.compiling import SOURCES

# What came out where these were first run; a change of one is another numerics version.
GOLDEN = {
    "each activation in two networks": "c72cdf686853e217",
    "each other norm in three networks": "1ac1d94349e73ea0",
    "networks that draw numbers": "65cf6d2fd3434207",
    "networks with online norm": "82c737c31f1c650f",
    "few examples": "1b9f7feb6a4d675f",
}
_LANGUAGE = ["-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
_FLAGS = [*_LANGUAGE, "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-w"]
_LIBRARIES = {"x86-64-v4": "x86_64_v4", "x86-64-v3": "x86_64_v3", "aarch64": "aarch64"}
_QEMU = ("qemu-aarch64-static", "qemu-aarch64")


def _compiler(processor: str) -> list[str]:
    """The compiler for a processor and what tells it which; skips where there is none."""
    kind = "aarch64" if processor == "aarch64" else "x86_64"
    if importlib.util.find_spec("ziglang") is not None:
        # For another processor a static program, which needs none of its system's files. No C++ library, because that
        # would have to be compiled first.
        own = ["-target", f"{kind}-linux-gnu.2.17"] if platform.machine() == kind else []
        target = own or ["-target", f"{kind}-linux-musl", "-static"]
        cpu = "generic" if kind == "aarch64" else processor.replace("-", "_")
        return [sys.executable, "-m", "ziglang", "c++", *target, f"-mcpu={cpu}", "-nostdlib++"]
    system = shutil.which("c++")
    if system is None or platform.machine() != kind:
        pytest.skip(f"neither ziglang nor a compiler for {kind} is here")
    return [system, *([] if kind == "aarch64" else [f"-march={processor}"])]


def _runner(processor: str) -> list[str]:
    """What runs a program for a processor here; skips where nothing does."""
    if processor == "aarch64" and platform.machine() != "aarch64":
        found = next(filter(None, map(shutil.which, _QEMU)), None)
        return [found] if found else pytest.skip("no QEMU for aarch64 is here")
    lacking = library._lacking(_LIBRARIES[processor])
    return pytest.skip(f"this processor has no {', '.join(lacking)}") if lacking else []


@pytest.mark.skipif(platform.system() != "Linux", reason="the kernels are for Linux")
@pytest.mark.parametrize("processor", _LIBRARIES)
def test_programs_for_every_processor_have_the_same_bits(processor: str, tmp_path: Path) -> None:
    runner, program = _runner(processor), tmp_path / "golden"
    source = Path(__file__).with_name("golden.cpp")
    subprocess.run(
        [*_compiler(processor), *_FLAGS, "-I", str(SOURCES), str(source), "-o", str(program)], check=True, timeout=300
    )
    printed = subprocess.run([*runner, str(program)], capture_output=True, text=True, check=True, timeout=300).stdout
    lines = printed.splitlines(keepends=True)
    parts = (lines[:18], lines[18:45], lines[45:48], lines[48:50], lines[50:])
    digests = [hashlib.sha256("".join(part).encode()).hexdigest()[:16] for part in parts]
    assert dict(zip(GOLDEN, digests, strict=True)) == GOLDEN, printed
