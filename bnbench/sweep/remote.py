"""Trains packs that come as lines of JSON on standard input, and answers each with a line: what a `Trainer` starts.

It needs nothing of the host that planned the sweep but the packs: no folder, no Hydra, no environment. Results go back
by value.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bnbench.config import schema
from bnbench.sweep.error_lines import OWN_ERRORS
from bnbench.sweep.running.isolation import end_with
from bnbench.sweep.running.job import Job, is_shared
from bnbench.sweep.running.worker import train_job
from bnbench.tracking import Spool


def main() -> None:
    """Answer packs until there are no more, which is also when the process is gone that sends them."""
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):  # a terminal's, and what engines send to warn
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what training may print is no answer
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _answer(pack: dict[str, Any]) -> dict[str, Any]:
    """The results of a pack's trials as `TrialResult.to_json` gives them; or why there are none."""
    host = {"host": socket.gethostname()}
    scratch = Path(tempfile.mkdtemp(prefix="bnbench-"))
    try:
        job = _at_home(Job(**pack["job"]), pack["token"], scratch)
        train_job(_config(pack["config"]), job)
        return {**host, "results": [result.to_json() for result in Spool(Path(job.spool)).read_all()]}
    except OWN_ERRORS as error:
        return {**host, "refused": str(error)}
    except Exception as error:
        return {**host, "error": "".join(traceback.format_exception(error))}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _at_home(job: Job, token: str, scratch: Path) -> Job:
    """The job with folders of this host.

    The sweep's own ones are used for progress and checkpoints where they are the same folders here as there; a folder
    that only has the same name is not touched.
    """
    spool = scratch / "spool"
    spool.mkdir()
    job = replace(job, spool=str(spool))
    if is_shared(Path(job.sweep_dir), token):
        return job
    own = scratch / Path(job.sweep_dir).name
    return replace(job, cache=str(_cache(scratch)), checkpoints=str(scratch / "checkpoints"), sweep_dir=str(own))


def _cache(scratch: Path) -> Path:
    """Where images are kept from pack to pack: the user's own place for such files, if it can be written."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bnbench"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return scratch / "cache"
    return folder if os.access(folder, os.W_OK) else scratch / "cache"


def _config(plain: dict[str, Any]) -> DictConfig:
    config = OmegaConf.merge(schema(), OmegaConf.create(plain))
    assert isinstance(config, DictConfig)
    return config


if __name__ == "__main__":
    main()
