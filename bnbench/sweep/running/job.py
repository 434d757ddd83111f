"""What the sweeper tells a worker about its pack, and how the worker reports its progress."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bnbench.record.whole_file import replace_file

_PROGRESS_SECONDS = 0.3
_OVERRIDE = "++pack='"
_TOKEN = "token.txt"


@dataclass(frozen=True)
class Job:
    """One pack, as it travels in the override `++pack=…`.

    Attributes:
        number: The pack's, in the order of the plan.
        keys: The trials', to make sure that the worker trains what was planned.
        values: By trial, what is set on top of the composed configuration.
        cache: Where images are kept. All four folders are absolute, for workers may run in another one.
        checkpoints: Where half-trained packs are kept.
        sweep_dir: Where progress is written.
        spool: Where results are left for the tracking store.
        run_id: The sweep's run in the tracking store.
        process: The sweeping process, as `tracking.this_process` names it; its workers end once it is gone.
        alone: Whether its trial is trained as plain torch does, not in a pack; decided once, in the plan.
        launcher: What runs the pack, in a word.
        anew: Whether results count beside earlier ones of the same trials.
    """

    number: int
    keys: list[str]
    values: list[dict[str, Any]]
    cache: str
    checkpoints: str
    sweep_dir: str
    spool: str
    run_id: str
    process: str
    launcher: str = "joblib"
    anew: bool = False
    alone: bool = False

    @property
    def override(self) -> str:
        """The Hydra override that carries this job."""
        # In JSON's own escapes, so that Hydra finds neither a quote nor an interpolation in it.
        text = json.dumps(asdict(self)).replace("'", r"\u0027").replace("$", r"\u0024")
        return f"{_OVERRIDE}{text}'"

    @classmethod
    def of_override(cls, override: str) -> Job:
        """The job that an override carries."""
        return cls(**json.loads(override.removeprefix(_OVERRIDE).removesuffix("'")))

    @property
    def progress_file(self) -> Path:
        return _progress_folder(Path(self.sweep_dir)) / f"{self.number}.json"


@dataclass(frozen=True)
class Progress:
    """How far one pack is.

    Attributes:
        steps: Steps taken.
        diverged: Trials that have diverged.
        keys: The trials that are being trained.
    """

    steps: int = 0
    diverged: int = 0
    keys: tuple[str, ...] = ()


def read_progress(file: Path) -> Progress:
    """What a worker last wrote; no steps if it has not started."""
    try:
        written = json.loads(file.read_text())
    except FileNotFoundError:
        return Progress()
    return Progress(written["steps"], written["diverged"], tuple(written["keys"]))


def progress_files(sweep_dir: Path) -> list[Path]:
    """A file for each pack that was started, while its sweep runs."""
    return sorted(_progress_folder(sweep_dir).glob("*.json"))


def progress_writer(file: Path, keys: Sequence[str]) -> Callable[[int, int], None]:
    """A function that takes the steps and the diverged trials, and replaces the file at most a few times a second."""
    last = -_PROGRESS_SECONDS

    def report(steps: int, diverged: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS:
            last = now
            with suppress(OSError):  # a full disk, say, must not end the training
                file.parent.mkdir(parents=True, exist_ok=True)
                replace_file(file, json.dumps(asdict(Progress(steps, diverged, tuple(keys)))))

    return report


def share(sweep_dir: Path) -> str:
    """A word by which other hosts can tell whether the folder that they have by this name is this one."""
    folder = _progress_folder(sweep_dir)
    folder.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    replace_file(folder / _TOKEN, token)
    return token


def is_shared(sweep_dir: Path, token: str) -> bool:
    """Whether this host has the folder that `share` was called for."""
    try:
        return (_progress_folder(sweep_dir) / _TOKEN).read_text(encoding="utf-8") == token
    except OSError:
        return False


def _progress_folder(sweep_dir: Path) -> Path:
    return sweep_dir / "progress"
