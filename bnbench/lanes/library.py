"""The compiled kernels that this processor can run, or why there are none."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import json
import os
from pathlib import Path

from bnbench.config import ConfigError
from bnbench.lanes.compiling import LIBRARIES, SOURCES, library_file, note_file, sources_digest

VARIABLE = "BNBENCH_LANES"

_V3 = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "popcnt")
_NEEDS = {
    "x86_64_v4": (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
    "x86_64_v3": _V3,
    "aarch64": ("asimd",),
}
"""By library, the best first: what the compiler may have used of the processor, in Linux's words for it."""

_ASKED = {"v4": "x86_64_v4", "v3": "x86_64_v3"}


def load_library() -> ctypes.CDLL | None:
    """The best kernels that this processor can run, or those that BNBENCH_LANES=v4, v3 or none asks for.

    Raises:
        ConfigError: If BNBENCH_LANES is anything else, or asks for kernels that are not to be had here.
    """
    found = _found(os.environ.get(VARIABLE, ""))
    return None if isinstance(found, str) else found


def why_no_kernels() -> str | None:
    """In one line why `load_library` has none; None where it has.

    Raises:
        ConfigError: As `load_library`.
    """
    found = _found(os.environ.get(VARIABLE, ""))
    return found if isinstance(found, str) else None


@functools.cache
def _found(asked: str) -> ctypes.CDLL | str:
    if asked == "none":
        return f"{VARIABLE}=none"
    if asked and asked not in _ASKED:
        raise ConfigError(
            f"{VARIABLE}={asked} is not allowed; it may be v4, v3 or none, or left out for the best that there is"
        )
    found = _library(_folder(), SOURCES, asked and _ASKED[asked])
    if asked and isinstance(found, str):
        raise ConfigError(f"{VARIABLE}={asked} asks for kernels that are not to be had here: {found}")
    return found


def _folder() -> Path:
    """Where the libraries lie: beside this file or, if this is a clone that is run in place, where it was installed."""
    if note_file(LIBRARIES).is_file():
        return LIBRARIES
    try:
        return Path(str(importlib.metadata.distribution("bnbench").locate_file("bnbench/lanes/lib")))
    except importlib.metadata.PackageNotFoundError:
        return LIBRARIES


def _library(folder: Path, sources: Path, wanted: str) -> ctypes.CDLL | str:
    """The library of that name, or the best if it is "" (or why there is none)."""
    try:
        note = json.loads(note_file(folder).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "they are compiled by `pip install`, which this copy of bnbench has not seen"
    if note["problem"]:
        return f"when bnbench was installed, {note['problem']}"
    if note["sources"] != sources_digest(sources):
        return "they were compiled from other sources than those here; install bnbench again"
    lacking = {name: _lacking(name) for name in _NEEDS if name in note["libraries"] and wanted in {"", name}}
    for name, what in lacking.items():
        if not what:
            try:
                return ctypes.CDLL(str(library_file(folder, name)))
            except OSError as error:
                return f"{name} could not be loaded: {error}"
    if not lacking:
        return f"{wanted} is not for this kind of processor"
    return f"this processor has no {', '.join([*lacking.values()][-1])}"


def _lacking(name: str) -> list[str]:
    """What the library needs that this processor, or its operating system, has not."""
    has = _processor_features()
    return [feature for feature in _NEEDS[name] if feature not in has]


def _processor_features() -> set[str]:
    """What Linux says that the processor can do; the libraries are for Linux alone."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    found = (line.partition(":") for line in lines)
    return {feature for key, _, value in found if key.strip() in ("flags", "Features") for feature in value.split()}
