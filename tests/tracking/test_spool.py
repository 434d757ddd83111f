from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bnbench.record.results import TrialResult
from bnbench.tracking import SpoolError, TrackingError, spool
from bnbench.tracking.address import Address

Make = Callable[..., TrialResult]


def test_spooled_results_are_read_back_equal(tmp_path: Path, make_result: Make) -> None:
    results = [make_result(seed) for seed in range(3)]
    path = spool.write(tmp_path / "spool", results)
    assert spool.read(path) == results


def test_a_file_has_its_final_name_only_when_it_is_whole(
    tmp_path: Path, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(TrackingError, match="disk full"):
        spool.write(tmp_path, [make_result(0)])
    assert spool.pending(tmp_path) == []


def test_pending_files_come_oldest_first(tmp_path: Path, make_result: Make) -> None:
    paths = [spool.write(tmp_path, [make_result(seed)]) for seed in range(3)]
    for age, path in enumerate(paths):
        os.utime(path, (1000 - age, 1000 - age))
    assert spool.pending(tmp_path) == paths[::-1]


def test_two_packs_with_the_same_first_trial_do_not_overwrite_each_other(tmp_path: Path, make_result: Make) -> None:
    assert spool.write(tmp_path, [make_result(0)]) != spool.write(tmp_path, [make_result(0)])
    assert len(spool.pending(tmp_path)) == 2


def test_a_result_that_is_not_finite_is_not_spooled(tmp_path: Path, make_result: Make) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        spool.write(tmp_path, [make_result(0, metrics={"test/acc": float("nan")})])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]\n", b'{"key": "a"}\n', b'{"kye": "a"}\n', b"\xff\xfe\n"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(SpoolError, match=re.escape(str(path))):
        spool.read(path)


def test_a_file_set_aside_is_kept_and_no_longer_pending(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{")
    assert spool.set_aside(path).read_bytes() == b"{"
    assert spool.pending(tmp_path) == []


def test_each_store_has_a_folder_of_its_own_which_moves_with_runs_dir(tmp_path: Path, make_result: Make) -> None:
    def folder(runs_dir: Path, uri: str | None, experiment: str = "bnbench") -> Path:
        return spool.make_folder(runs_dir, Address.resolve(uri, runs_dir), experiment)

    here, there = tmp_path / "here", tmp_path / "there"
    folders = [
        folder(here, None),
        folder(here, "http://host:1"),
        folder(here, "http://host:2"),
        folder(here, None, "b"),
    ]
    assert len(set(folders)) == 4
    assert folder(there, None).name == folders[0].name
    spool.write(folders[1], [make_result(0), make_result(1)])
    spool.write(folders[1], [make_result(2)])
    assert spool.waiting(here) == {"http://host:1 bnbench": 3}


def test_a_password_is_not_written_beside_what_waits(tmp_path: Path) -> None:
    uri = "postgresql://me:secret@host/db"
    folder = spool.make_folder(tmp_path, Address.resolve(uri, tmp_path), "bnbench")
    assert "secret" not in (folder / "address.txt").read_text()


def test_a_claimed_file_is_left_to_whoever_claimed_it_until_it_lets_go(tmp_path: Path, make_result: Make) -> None:
    path = spool.write(tmp_path, [make_result(0)])
    with spool.claimed(path) as first, spool.claimed(path) as second:
        assert (first, second) == (True, False)
    with spool.claimed(path) as again:
        assert again
        spool.remove(path)
    with pytest.raises(FileNotFoundError), spool.claimed(path):
        pass


def test_a_folder_that_cannot_be_written_is_said_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match=r"cannot be written to .*file/spool \(Not a directory\); make room"):
        spool.check_writable(tmp_path / "file" / "spool")
