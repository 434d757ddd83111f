"""Several sweep files crossed into one sweep: it asks what each of them asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from bnbench.config import SweepConfig

__all__ = ["combined"]

T = TypeVar("T")


def combined(
    merged: SweepConfig, command_line: Sequence[str], chosen: Sequence[str], of_file: Callable[[str], SweepConfig]
) -> SweepConfig:
    """What a sweep of several files asks; of a single file, what it says.

    Hydra lets the last file's words stand alone. Here every question is kept; and where one file compares all
    that the others compare (placements and kinds of norm, beside kinds alone), so does the sweep, with
    every contrast. Files that compare unlike things leave that to the last one.

    Args:
        merged: What Hydra made of them.
        command_line: As typed; a key set there is left as it is.
        chosen: The files.
        of_file: What one of them says by itself.
    """
    if len(chosen) < 2:
        return merged
    files = [of_file(file) for file in chosen]
    typed = {word.lstrip("+").partition("=")[0] for word in command_line}
    widest = max(files, key=lambda file: len(file.compare)).compare
    changes: dict[str, Any] = {"question": " ".join(_once(file.question for file in files if file.question))}
    if all({*file.compare} <= {*widest} for file in files):
        changes |= {"compare": widest, "contrasts": _once(one for file in files for one in file.contrasts)}
    return replace(merged, **{key: value for key, value in changes.items() if f"sweep.{key}" not in typed})


def _once(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
