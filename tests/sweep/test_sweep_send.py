"""Packs that are sent to workers elsewhere come back with the bits that they have here, or say why not."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import bnbench
from bnbench.config import ConfigError
from bnbench.record.names import Tag
from bnbench.sweep.launchers import choose
from bnbench.sweep.launchers.choose import open_workers, workers_closed
from bnbench.sweep.launchers.processes import LocalProcesses
from bnbench.sweep.launchers.trainer import Trainer

_WORDS = ("data=digits", "model=fc", "model.width=8", "norm=none,batch", "training.steps=20")
_ELSEWHERE = ("hydra/launcher=processes", "hydra.launcher.workers=2")


class _Recorded(LocalProcesses):
    """Local processes that keep the packs that they were sent."""

    packs: tuple[str, ...] = ()

    def train(self, packs: Sequence[str]) -> Generator[tuple[int, str], None, None]:
        self.packs += tuple(packs)
        yield from super().train(packs)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> _Recorded:
    workers = _Recorded(2)
    monkeypatch.setattr(choose, "_opened", lambda settings: workers)
    return workers


@pytest.mark.parametrize(
    "more",
    [
        ("seed=range(4)", "training.max_pack=2"),
        ("sweep.until=settled", "sweep.compare=[norm]", "optimizer.lr=0.4", "sweep.margin_pp=40", "sweep.max_seeds=12"),
    ],
    ids=["fixed", "until settled"],
)
def test_a_sweep_sent_elsewhere_has_the_bits_of_one_trained_here(
    more: tuple[str, ...], tmp_path: Path, recorded: _Recorded
) -> None:
    tables = []
    for place, launcher in {"here": ("hydra.launcher.n_jobs=1",), "elsewhere": _ELSEWHERE}.items():
        bnbench.run(*_WORDS, *more, *launcher, f"runs_dir={tmp_path / place}")
        folder = tmp_path / place / "latest"
        tables.append([(folder / name).read_bytes() for name in ("trials.csv", "curves.csv")])
    assert tables[0] == tables[1]
    assert len(recorded.packs) > 1


# One pack, and what may become of it.


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A pack of two trials, as it was sent by a sweep whose folders are not there any more."""
    workers, folder = _Recorded(1), tmp_path_factory.mktemp("gone") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "_opened", lambda settings: workers)
        bnbench.run(*_WORDS, "norm=batch", "seed=0,1", *_ELSEWHERE, f"runs_dir={folder}")
    [text] = workers.packs
    folder.rename(folder.with_name("moved"))
    sent: dict[str, Any] = json.loads(text)
    return sent


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    trainer = Trainer()
    yield trainer
    trainer.end()


def _answer(trainer: Trainer, pack: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(trainer.train(json.dumps(pack)))
    return answer


def test_a_pack_needs_no_folder_of_the_sweep_s_host_and_makes_none(pack: dict[str, Any], trainer: Trainer) -> None:
    results = [json.loads(line) for line in _answer(trainer, pack)["results"]]
    assert [result["key"] for result in results] == pack["job"]["keys"]
    assert {result["status"] for result in results} == {"finished"}
    assert {result["tags"][Tag.PACK] for result in results} == {f"{Path(pack['job']['sweep_dir']).name}/0"}
    assert {result["tags"][Tag.LAUNCHER] for result in results} == {"processes"}
    assert not [key for key in ("cache", "checkpoints", "sweep_dir", "spool") if Path(pack["job"][key]).exists()]


def test_a_pack_that_is_not_the_planned_training_is_refused_with_the_host_s_name(
    pack: dict[str, Any], trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**pack, "job": {**pack["job"], "keys": ["a" * 16, "b" * 16]}}
    assert "is not the planned aaaaaaaaaaaaaaaa" in _answer(trainer, other)["refused"]


def test_where_the_interpreter_is_killed_the_pack_is_lost_and_the_next_one_is_trained(
    pack: dict[str, Any], trainer: Trainer
) -> None:
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(_answer(trainer, pack)))
    thread.start()
    while trainer.process is None:
        time.sleep(0.01)
    os.kill(trainer.process, signal.SIGKILL)
    thread.join(20)
    [answer] = answers
    assert answer["lost"] == "its process was ended by SIGKILL, as where memory runs out"
    assert "results" in _answer(trainer, pack)


def test_an_interpreter_has_no_variable_of_the_engine_s_but_those_that_say_how_kernels_round(
    pack: dict[str, Any], trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    _answer(trainer, pack)
    content = Path(f"/proc/{trainer.process}/environ").read_bytes().split(b"\0")
    assert b"MKL_CBWR=AUTO,STRICT" in content
    assert not [line for line in content if line.startswith((b"MKL_NUM_THREADS", b"ATEN_CPU_CAPABILITY"))]


def test_closed_before_its_end_nothing_trains_on(pack: dict[str, Any]) -> None:
    answers = LocalProcesses(2).train([json.dumps(pack)] * 6)
    next(answers)
    began = _interpreters()
    answers.close()
    assert began
    assert _interpreters() == []


def _interpreters() -> list[int]:
    """Those that this process has started."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    found = [int(pid) for file in listed for pid in file.read_text().split()]
    return [pid for pid in found if b"bnbench.sweep.remote" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("hydra/launcher=processes", "hydra.launcher.workers=0"),
            "workers=0 is not allowed; it must be a whole number",
        ),
        (("hydra/launcher=ray",), "hydra.launcher.address=None is not allowed; it must be HOST:PORT"),
        (("hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:9"), "no Ray cluster answers there"),
        (("hydra/launcher=slurm",), "hydra.launcher.workers is missing"),
        (("hydra/launcher=slurm", "hydra.launcher.workers=2"), "needs Slurm's commands, and sinfo is not here"),
    ],
)
def test_workers_that_cannot_be_had_are_one_clear_line_before_any_training(
    words: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "ray" in words[0]:
        pytest.importorskip("ray")
    monkeypatch.setenv("PATH", str(tmp_path))
    runs = tmp_path / "runs"
    with pytest.raises(ConfigError) as error:
        bnbench.run(*_WORDS, *words, f"runs_dir={runs}")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not runs.exists()


def test_workers_are_opened_once_and_closed_with_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Workers(LocalProcesses):
        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(choose, "_opened", lambda settings: Workers(settings["workers"]))
    with workers_closed():
        first, same, other = [open_workers({"where": "processes", "workers": workers}) for workers in (2, 2, 3)]
        assert first is same
        assert other.count == 3
        assert closed == []
    assert closed == [first, other]
