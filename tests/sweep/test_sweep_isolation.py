"""An action in a process of its own: whatever ends it is an answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnbench.sweep.running.isolation import CAN_ISOLATE, failure_of, isolated
from bnbench.tracking import TrackingError

pytestmark = pytest.mark.skipif(not CAN_ISOLATE, reason="forks safely on Linux alone")


def test_what_went_well_is_no_failure_and_happened_elsewhere(tmp_path: Path) -> None:
    assert isolated(lambda: (tmp_path / "pid").write_text(str(os.getpid())) and None) is None
    assert int((tmp_path / "pid").read_text()) != os.getpid()


def _fail() -> None:
    raise RuntimeError("x" * 100_000 + "\nthe end")


@pytest.mark.parametrize("run", [isolated, failure_of])
def test_an_exception_is_its_traceback_however_long(run: object) -> None:
    failure = run(_fail)  # type: ignore[operator]
    assert failure.endswith("the end")
    assert len(failure) == 30_000


@pytest.mark.parametrize("run", [isolated, failure_of])
def test_results_that_have_nowhere_to_go_are_no_failure_of_the_pack(run: object) -> None:
    def full() -> None:
        raise TrackingError("the disk is full")

    with pytest.raises(TrackingError, match="the disk is full"):
        run(full)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "its process was ended by SIGKILL, as the system does where"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "its process was ended by SIGTERM"),
        (lambda: os._exit(3), "its process ended with exit status 3 and left no result"),
        (lambda: sys.exit(4), "its process ended with exit status 4 and left no result"),
    ],
)
def test_a_death_is_told_by_what_caused_it(end: object, said: str) -> None:
    assert (isolated(end) or "").startswith(said)  # type: ignore[arg-type]


_ORPHAN = """
import os, sys, time
from bnbench.sweep.running.isolation import isolated
def action():
    print(os.getpid(), flush=True)
    time.sleep(60)
isolated(action, lambda: not os.path.exists(sys.argv[1]))
"""


@pytest.mark.parametrize("how", ["killed", "not wanted"])
def test_it_dies_with_its_parent_and_where_nobody_waits_for_it(how: str, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", _ORPHAN, str(tmp_path / "stop")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    if how == "killed":
        parent.kill()
    else:
        (tmp_path / "stop").touch()
    parent.wait(10)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/stat").exists() and " Z " not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
