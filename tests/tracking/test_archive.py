from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from bnbench.config import ConfigError
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.tracking.archive import SweepArchive, read_archive, write_archive


@pytest.fixture
def archive() -> SweepArchive:
    metrics, curves = {"test/acc": 0.1 + 0.2}, {"val/acc": [(0, 1 / 3)]}
    results = [TrialResult(f"k{n}", {"seed": n}, "finished", metrics=metrics, curves=curves) for n in range(3)]
    planned = [PlannedTrial(result.key, result.params) for result in results]
    run = {"status": "FINISHED", "started": 1, "ended": 2, "tags": {}, "metrics": {}}
    files = {"report.html": b"<p>\xff", "figures/a b.svg": b"<svg>"}
    return SweepArchive(SweepRecord(Asked("placement, mine", "0a1b")), planned, run, results, None, files)


@pytest.fixture
def rewritten(archive: SweepArchive, tmp_path: Path) -> Callable[..., Path]:
    """The archive's file with other members."""

    def write(**members: bytes | None) -> Path:
        whole, path = tmp_path / "whole.zip", tmp_path / "a.zip"
        write_archive(whole, archive)
        with ZipFile(whole) as source, ZipFile(path, "w", ZIP_DEFLATED) as target:
            content = {name: source.read(name) for name in source.namelist()} | members
            for name, data in content.items():
                if data is not None:
                    target.writestr(name, data)
        return path

    return write


def test_an_archive_reads_back_bit_for_bit(archive: SweepArchive, tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", archive)
    assert read_archive(tmp_path / "a.zip") == archive
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_an_archive_holds_text_alone(archive: SweepArchive, tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", archive)
    with ZipFile(tmp_path / "a.zip") as file:
        assert file.namelist() == [
            "bnbench.json",
            "sweep.json",
            "trials.jsonl",
            "files/report.html",
            "files/figures/a b.svg",
        ]
        json.loads(file.read("sweep.json"))


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../../x", "a\\..\\x", "C:x", "a//x", ".bashrc", "a/.ssh/x", "", "a/", "..", "~/x\n"],
)
def test_no_file_leads_out_of_its_folder(name: str, rewritten: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="it holds a file named") as caught:
        read_archive(rewritten(**{f"files/{name}": b"evil"}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "members",
    [
        {"bnbench.json": None},
        {"bnbench.json": b'{"format": 2, "sweep": "x"}'},
        {"bnbench.json": b"[]"},
        {"sweep.json": b"{}"},
        {"sweep.json": b"\xff\xfe"},
        {"sweep.json": b'{"meta": {"name": 1, "id": "a"}, "trials": [], "run": {}, "timing": null}'},
        {"sweep.json": b'{"meta": {"name": "a", "id": "../a"}, "trials": [], "run": {}, "timing": null}'},
        {"trials.jsonl": b"{}\n"},
        {"trials.jsonl": b"not JSON"},
        {"trials.jsonl": b'{"key": "other", "params": {}, "status": "finished", "curves": {}}'},
        {"trials.jsonl": b'{"key": "k0", "params": {"seed": 1}, "status": "finished", "curves": {}}'},
    ],
    ids=str,
)
def test_a_file_that_is_no_sweep_is_refused_in_one_line(
    members: dict[str, bytes | None], rewritten: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError, match=r"a\.zip is no sweep that .* or is damaged \(.+\); have it packed") as caught:
        read_archive(rewritten(**members))
    assert "\n" not in str(caught.value)


def _refusal(path: Path) -> str | None:
    try:
        read_archive(path)
    except ConfigError as error:
        return str(error)
    return None


def test_any_damage_is_refused_in_one_line_or_does_not_touch_the_content(archive: SweepArchive, tmp_path: Path) -> None:
    path, draw = tmp_path / "a.zip", random.Random(0)
    write_archive(path, archive)
    whole = path.read_bytes()
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        if draw.random() < 0.3:
            del damaged[draw.randrange(len(whole)) :]
        else:
            damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        said = _refusal(path)
        if said is None:
            read = read_archive(path)
            assert (read.record, read.planned, read.results) == (archive.record, archive.planned, archive.results)
        else:
            assert "\n" not in said
            refused += 1
    assert refused > 100


def test_what_is_no_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.zip does not exist"):
        read_archive(tmp_path / "nothing.zip")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_archive(tmp_path)
