from __future__ import annotations

import os
from pathlib import Path

import pytest

from bnbench.record.whole_file import draft_of, drafts_of, replace_file


def test_a_file_gets_its_new_content_to_the_byte_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    replace_file(tmp_path / "a", "one\r\nµ\n")
    assert (tmp_path / "a").read_bytes() == b"one\r\n\xc2\xb5\n"
    replace_file(tmp_path / "a", b"\0", durable=True)
    assert (tmp_path / "a").read_bytes() == b"\0"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("refused", ["write", "fsync", "replace"])
def test_where_the_disk_refuses_the_file_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    replace_file(tmp_path / "a", "old")
    place, name = (Path, "write_bytes") if refused == "write" else (os, refused)
    monkeypatch.setattr(place, name, full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "a", "new", durable=True)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_must_last_is_on_the_disk_before_its_name_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    replace_file(tmp_path / "a", "", durable=True)
    assert calls == ["fsync", "replace", "fsync"]


def test_the_drafts_of_a_file_are_found_with_what_lies_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "a[1].db"
    (tmp_path / ".a1.db.0.draft").touch()  # of another file
    with draft_of(path) as draft:
        draft.touch()
        draft.with_name(f"{draft.name}-journal").touch()
        assert sorted(drafts_of(path)) == [draft, draft.with_name(f"{draft.name}-journal")]
