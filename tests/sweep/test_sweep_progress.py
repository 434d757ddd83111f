"""What is shown while a sweep runs."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from bnbench.record.results import TrialResult
from bnbench.record.whole_file import replace_file
from bnbench.sweep.running import progress as module
from bnbench.sweep.running.job import Job
from bnbench.sweep.running.progress import SweepProgress


def _job(number: int, folder: Path, *keys: str) -> Job:
    return Job(number, [*keys], [{} for _ in keys], *[str(folder)] * 4, "5c", "host 1 2")


def _write(job: Job, steps: int, diverged: int) -> None:
    job.progress_file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(job.progress_file, json.dumps({"steps": steps, "diverged": diverged, "keys": job.keys}))


def _ended(key: str, status: str = "finished") -> TrialResult:
    return TrialResult(key=key, params={}, status=status)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.02)
    monkeypatch.setattr(module, "_BAR_SECONDS", 0.02)


def _until(said: Any, part: str) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = [line for line in said().replace("\r", "\n").splitlines() if part in line]
        if lines:
            return str(lines[-1])
        time.sleep(0.01)
    raise AssertionError(f"{part!r} was never said: {said()!r}")


def test_lines_away_from_a_terminal_count_trials_and_weigh_packs_by_their_time(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    short, long = _job(0, tmp_path, "a", "b"), _job(1, tmp_path, "c")
    with SweepProgress([(short, 10.0, 100), (long, 30.0, 200)], 3) as shown:
        assert "0 of 3 trials done, 0 diverged, 0% of the work" in _until(out.getvalue, "0 of 3")
        _write(short, 50, 1)  # half of a quarter
        assert "0 of 3 trials done, 1 diverged, 12% of the work, about" in _until(out.getvalue, "12%")
        for key, status in (("a", "finished"), ("b", "diverged")):
            shown.add(_ended(key, status))
        assert "2 of 3 trials done, 1 diverged, 25% of the work, about" in _until(out.getvalue, "25%")
        _write(long, 400, 0)  # further than planned is not more than done
        shown.add(_ended("c", "failed"))
        assert "3 of 3 trials done, 1 diverged, 1 failed, 100% of the work" in _until(out.getvalue, "100%")
    assert "%|" not in out.getvalue(), "no bar away from a terminal"


def test_a_terminal_gets_one_bar_that_leaves_nothing_behind(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    job = _job(0, tmp_path, "a")
    with SweepProgress([(job, 10.0, 100)], 1):
        _write(job, 40, 0)
        assert "0 of 1 trials done" in _until(terminal.getvalue, " 40% |")
    assert terminal.getvalue().rsplit("\r", 2)[-2].strip() == ""
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_sweep_with_nothing_left_to_train_shows_no_error(
    terminal: bool, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", _Terminal() if terminal else io.StringIO())
    broken: list[Any] = []
    monkeypatch.setattr("threading.excepthook", broken.append)
    with SweepProgress([], 0):
        time.sleep(0.1)
    assert broken == []


def test_it_stops_at_once_whatever_ends_the_sweep(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), SweepProgress([(_job(0, tmp_path, "a"), 1.0, 10)], 1):
        raise KeyboardInterrupt
    assert time.monotonic() - started < module._LINE_SECONDS / 2
