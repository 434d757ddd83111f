"""How the kernels of the lanes are compiled, and the note beside them that says with what result.

The build hook runs this while bnbench is installed, before bnbench can be imported: it imports the standard library
alone. After a change of the sources in an editable install, where ziglang is installed:
`python -m bnbench.lanes.compiling`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"
LIBRARIES = HERE / "lib"

LANES = 16
"""Trials that the kernels train at once, at most: the lanes of the widest vector."""

_OPTIMIZE = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
_FLAGS = [*_OPTIMIZE, "-fno-exceptions", "-fno-rtti", "-nostdlib++", "-shared", "-fPIC", "-s"]

_PROCESSORS = {
    "x86_64": {"x86_64_v4": "x86_64_v4", "x86_64_v3": "x86_64_v3"},
    "aarch64": {"aarch64": "generic"},
}
"""By kind of machine: each library's name, and the processor that the compiler may count on."""

_GLIBC = "2.17"  # named, or the bytes of a library would depend on the machine that compiles it
_PATIENCE = 600  # seconds


def libraries() -> Mapping[str, str]:
    """The libraries of this kind of machine, none where bnbench has no kernels: each one's name and its processor."""
    if platform.system() != "Linux" or sys.maxsize < 2**32:  # a 32-bit Python may stand on a 64-bit machine
        return {}
    return _PROCESSORS.get(platform.machine(), {})


def library_file(folder: Path, name: str) -> Path:
    """Where the library of this name lies."""
    return folder / f"lanes_{name}.so"


def note_file(folder: Path) -> Path:
    """Where the note lies that says what was compiled, from which sources, or why nothing was."""
    return folder / "compiled.json"


def sources_digest(sources: Path = SOURCES) -> str:
    """What the libraries are made of: the sources and the compiler's options, as one SHA-256."""
    digest = hashlib.sha256(" ".join([*_FLAGS, _GLIBC]).encode())
    for path in sorted([*sources.glob("*.h"), *sources.glob("*.cpp")]):
        content = path.read_bytes()
        digest.update(f"\n{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def compile_libraries(sources: Path = SOURCES, folder: Path = LIBRARIES) -> str | None:
    """Compile `lanes.cpp` for each processor of this kind of machine, and note in `folder` what came of it.

    Whoever has an older library loaded keeps it: a new file takes its name. Where one library cannot be compiled,
    there is none.

    Returns:
        None, or in one line why nothing was compiled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = libraries()
    problem = None if names else f"bnbench has none for {platform.system()} on {platform.machine()}"
    with tempfile.TemporaryDirectory(prefix=".compiling_", dir=folder) as made:
        problem = problem or _compile(sources / "lanes.cpp", names, Path(made))
        for path in folder.glob("lanes_*.so"):
            path.unlink()
        for name in () if problem else names:
            library_file(Path(made), name).replace(library_file(folder, name))
        note = {"sources": sources_digest(sources), "libraries": [] if problem else [*names], "problem": problem}
        written = Path(made, "note")
        written.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        written.replace(note_file(folder))
    return problem


def _compile(source: Path, names: Mapping[str, str], folder: Path) -> str | None:
    """Compile all libraries at once; the answer is None or the first problem."""
    if importlib.util.find_spec("ziglang") is None:
        return "ziglang, which compiles them, was not there"
    cache = str(folder / "cache")
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    machine = f"{platform.machine()}-linux-gnu.{_GLIBC}"
    runs = {}
    for name, processor in names.items():
        options = [*_FLAGS, "-target", machine, f"-mcpu={processor}", "-o", str(library_file(folder, name))]
        runs[name] = subprocess.Popen(
            [sys.executable, "-m", "ziglang", "c++", *options, str(source)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    problems = [_problem(name, run, library_file(folder, name)) for name, run in runs.items()]
    return next(filter(None, problems), None)


def _problem(name: str, run: subprocess.Popen[str], library: Path) -> str | None:
    """Wait for the compiler; the answer is None or what it complains of."""
    try:
        complaint = run.communicate(timeout=_PATIENCE)[1]
    except subprocess.TimeoutExpired:
        run.kill()
        run.communicate()
        return f"compiling {name} took more than {_PATIENCE} seconds"
    if run.returncode == 0 and library.is_file():
        return None
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    said = next((line for line in lines if "error" in line), lines[-1] if lines else f"exit status {run.returncode}")
    return f"{name} could not be compiled: {said}"


if __name__ == "__main__":
    sys.exit(compile_libraries())
