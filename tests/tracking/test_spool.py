from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bnbench.config.workspace import Workspace
from bnbench.record.results import TrialResult
from bnbench.tracking import Spool, SpoolError, TrackingError, waiting_results
from bnbench.tracking.spool import claimed, read, remove, set_aside

Make = Callable[..., TrialResult]


def test_spooled_results_are_read_back_equal(tmp_path: Path, make_result: Make) -> None:
    results = [make_result(seed) for seed in range(3)]
    path = Spool(tmp_path).write(results)
    assert read(path) == results


def test_a_file_has_its_final_name_only_when_it_is_whole(
    tmp_path: Path, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(TrackingError, match="disk full"):
        Spool(tmp_path).write([make_result(0)])
    assert Spool(tmp_path).pending() == []


def test_pending_files_come_oldest_first(tmp_path: Path, make_result: Make) -> None:
    paths = [Spool(tmp_path).write([make_result(seed)]) for seed in range(3)]
    for age, path in enumerate(paths):
        os.utime(path, (1000 - age, 1000 - age))
    assert Spool(tmp_path).pending() == paths[::-1]


def test_two_packs_with_the_same_first_trial_do_not_overwrite_each_other(tmp_path: Path, make_result: Make) -> None:
    assert Spool(tmp_path).write([make_result(0)]) != Spool(tmp_path).write([make_result(0)])
    assert len(Spool(tmp_path).pending()) == 2


def test_a_result_that_is_not_finite_is_not_spooled(tmp_path: Path, make_result: Make) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Spool(tmp_path).write([make_result(0, metrics={"test/acc": float("nan")})])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]\n", b'{"key": "a"}\n', b'{"kye": "a"}\n', b"\xff\xfe\n"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(SpoolError, match=re.escape(str(path))):
        read(path)


def test_a_file_set_aside_is_kept_and_no_longer_pending(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{")
    assert set_aside(path).read_bytes() == b"{"
    assert Spool(tmp_path).pending() == []


def test_each_store_has_a_folder_of_its_own_which_moves_with_runs_dir(tmp_path: Path, make_result: Make) -> None:
    def spool_at(runs_dir: Path, uri: str | None = None, experiment: str = "bnbench") -> Spool:
        return Spool.made_for(Workspace.at(runs_dir, uri, experiment))

    here, there = tmp_path / "here", tmp_path / "there"
    spools = [
        spool_at(here),
        spool_at(here, "http://host:1"),
        spool_at(here, "http://host:2"),
        spool_at(here, experiment="b"),
    ]
    assert len(set(spools)) == 4
    assert spool_at(there).folder.name == spools[0].folder.name
    spools[1].write([make_result(0), make_result(1)])
    spools[1].write([make_result(2)])
    assert waiting_results(Workspace.at(here)) == {"http://host:1 bnbench": 3}


def test_a_password_is_not_written_beside_what_waits(tmp_path: Path) -> None:
    uri = "postgresql://me:secret@host/db"
    spool = Spool.made_for(Workspace.at(tmp_path, uri))
    assert "secret" not in (spool.folder / "address.txt").read_text()


def test_a_claimed_file_is_left_to_whoever_claimed_it_until_it_lets_go(tmp_path: Path, make_result: Make) -> None:
    path = Spool(tmp_path).write([make_result(0)])
    with claimed(path) as first, claimed(path) as second:
        assert (first, second) == (True, False)
    with claimed(path) as again:
        assert again
        remove(path)
    with pytest.raises(FileNotFoundError), claimed(path):
        pass


def test_a_folder_that_cannot_be_written_is_said_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match=r"cannot be written to .*file/spool \(Not a directory\); make room"):
        Spool(tmp_path / "file" / "spool").check_writable()
