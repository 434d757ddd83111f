"""One job of a Slurm array: takes packs from a folder one after another, until there are none.

`python -m bnbench.sweep.launchers.slurm_job FOLDER`. A pack is `7.json`. The job that takes it renames it to
`7.taken.JOB.START`, which one job alone can do, and leaves the answer in `7.answer`. START is new whenever the job
starts: after Slurm has put it back into its queue, it is not the one that took what it had taken before.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bnbench.record.whole_file import replace_file
from bnbench.sweep.launchers.trainer import Trainer

HEARTBEAT = "heartbeat"
HEARTBEAT_SECONDS = 20.0
_PATIENCE_SECONDS = 180.0  # without a heartbeat, after which nobody waits for answers


def main() -> None:
    """Answer the packs of the folder that the command line names."""
    folder = Path(sys.argv[1])
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    trainer = Trainer()
    threading.Thread(target=_end_without_sweep, args=(folder, trainer), daemon=True).start()
    give_back(taken_by(folder, job))
    start = f"{job}.{uuid.uuid4().hex[:8]}"
    while pack := _take(folder, start):
        replace_file(folder / f"{number_of(pack)}.answer", trainer.train(pack.read_text(encoding="utf-8")))
        pack.unlink()
    trainer.end()


def taken_by(folder: Path, job: str) -> list[Path]:
    """The packs that a job has taken and not answered."""
    return [path for path in folder.glob(f"*.taken.{job}.*") if not (folder / f"{number_of(path)}.answer").exists()]


def give_back(taken: Iterable[Path]) -> None:
    """Let any job take these packs, whose own was put back into the queue: by a preemption, or as its node was lost."""
    for pack in taken:
        with suppress(FileNotFoundError):  # the job has started again, and has done it
            pack.rename(pack.parent / f"{number_of(pack)}.json")


def number_of(file: Path) -> int:
    """The number of the pack that a file is about."""
    return int(file.name.partition(".")[0])


def _take(folder: Path, start: str) -> Path | None:
    """The first pack that nobody has taken; None where there is none."""
    for pack in sorted(folder.glob("*.json"), key=number_of):
        taken = folder / f"{number_of(pack)}.taken.{start}"
        try:
            pack.rename(taken)
        except FileNotFoundError:  # another job was quicker
            continue
        return taken
    return None


def _end_without_sweep(folder: Path, trainer: Trainer) -> None:
    """End this process once the sweep's heartbeat has stood still for long."""
    last, since = "", time.monotonic()
    while time.monotonic() - since < _PATIENCE_SECONDS:
        time.sleep(HEARTBEAT_SECONDS / 2)
        beat = _read(folder / HEARTBEAT)
        if beat != last:
            last, since = beat, time.monotonic()
    trainer.end()
    os._exit(1)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
