from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bnbench.results import TrialResult
from bnbench.tracking import SpoolError, spool

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
    with pytest.raises(OSError, match="disk full"):
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
