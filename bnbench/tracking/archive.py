"""A sweep as one file that can be handed on: a zip of JSON and of the report's files; plain data, no code."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from bnbench.config import ConfigError
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import SweepRecord, TimingRecord
from bnbench.record.whole_file import draft_of

_FORMAT = 1
_ABOUT, _SWEEP, _TRIALS, _FILES = "bnbench.json", "sweep.json", "trials.jsonl", "files/"
_NAME = re.compile(r"(?!\.)[\w+=,@ -][\w+=,@. -]*(/(?!\.)[\w+=,@. -]+)*")
"""Of a file that an archive may bring: no way out of the folder it is put into."""
_MOST_BYTES = 2**31
_DAMAGED = (BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error)
"""What zipfile raises for a file that it cannot read: the third for a compression that it lacks, the fourth for a
password."""
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True)
class SweepArchive:
    """Everything that the tracking store holds of a sweep.

    Attributes:
        record: Its description, of which the file has what was planned.
        planned: Its planned trials, in their order.
        run: What else its run holds: `status`, `started` and `ended` in milliseconds, `tags`, `metrics`.
        results: Of its trials, whichever sweep trained them.
        timing: What lone trials took, or None.
        files: The report's, by name.
    """

    record: SweepRecord
    planned: Sequence[PlannedTrial]
    run: dict[str, Any]
    results: list[TrialResult]
    timing: TimingRecord | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name and id."""
        return self.record.title


def write_archive(path: Path, archive: SweepArchive) -> None:
    """Write the file; whole once its name can be seen."""
    timing = None if archive.timing is None else archive.timing.to_json()
    trials = [trial.to_json() for trial in archive.planned]
    sweep = {"meta": archive.record.planned_json(), "trials": trials, "run": archive.run, "timing": timing}
    with draft_of(path) as draft, ZipFile(draft, "w", ZIP_DEFLATED) as file:
        file.writestr(_ABOUT, json.dumps({"format": _FORMAT, "sweep": archive.title}))
        file.writestr(_SWEEP, json.dumps(sweep, allow_nan=False))
        file.writestr(_TRIALS, "".join(f"{result.to_json()}\n" for result in archive.results))
        for name, content in archive.files.items():
            file.writestr(f"{_FILES}{name}", content)


def read_archive(path: Path) -> SweepArchive:
    """The sweep in a file that `write_archive` wrote; nothing is unpacked.

    Raises:
        ConfigError: If it is no such file, is damaged, or holds what no sweep has; one line.
    """
    with _refused(path), ZipFile(path) as file:
        if sum(member.file_size for member in file.infolist()) > _MOST_BYTES:
            raise ValueError("it would be larger than 2 GiB")
        about = json.loads(file.read(_ABOUT))
        if about["format"] != _FORMAT:
            raise ValueError(f"its format is {about['format']}, and this bnbench reads {_FORMAT}")
        sweep = json.loads(file.read(_SWEEP))
        results = [TrialResult.from_json(line) for line in file.read(_TRIALS).decode().splitlines()]
        files = {name.removeprefix(_FILES): file.read(name) for name in file.namelist() if name.startswith(_FILES)}
        timing = None if sweep["timing"] is None else TimingRecord.from_json(sweep["timing"])
        planned = [*map(PlannedTrial.from_json, sweep["trials"])]
        archive = SweepArchive(SweepRecord.from_json(sweep["meta"]), planned, sweep["run"], results, timing, files)
        _check(archive)
    return archive


def _check(archive: SweepArchive) -> None:
    wrong = [name for name in archive.files if not _NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"it holds a file named {wrong[0]!r}")
    if not archive.record.asked.name or not re.fullmatch(r"[\w-]+", archive.record.asked.id):
        raise ValueError(f"its sweep is called {archive.title!r}")
    planned = {trial.key: trial.params for trial in archive.planned}
    for result in archive.results:
        if result.params != planned[result.key]:
            raise ValueError(f"its trial {result.key} is not the planned one")


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; give a file that `python -m bnbench pack` wrote") from error
    except (*_DAMAGED, *_MALFORMED) as error:
        reason = " ".join(f"{error}".split()) or type(error).__name__
        raise ConfigError(
            f"{path} is no sweep that `python -m bnbench pack` wrote, or is damaged ({reason}); have it packed again"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); give a file that may be read") from error
