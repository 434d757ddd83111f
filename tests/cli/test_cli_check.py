"""`check`: bad input in one line, the table, exit statuses, the JSON and the page; and the fixture for pytest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

pytest_plugins = ["pytester"]

_MODULE = """
from torch import nn


class Wrong(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x) + 1
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["check needs a class or a function, package.module:name", "--framework torch|keras"]),
        (["torch.nn"], ["check torch.nn is not understood", "package.module:name"]),
        (["torch.nn:BatchNorm1d", "other:One"], ["check other:One is not understood"]),
        (["torch.nn:BatchNorm1d", "--like", "caffe"], ["--like", "caffe", "keras"]),
        (["torch.nn:BatchNorm1d", "--seconds", "0"], ["check --seconds 0 is not allowed; it must be a number > 0"]),
        (["torch.nn:BatchNorm1d", "--json", "no/a.json"], ["no/a.json is in no folder that exists"]),
        (["torch.nn:BatchNorm1d", "a.b=1"], ["check a.b=1 is not understood", "NAME=VALUE"]),
        (["nowhere:One"], ["check nowhere:One cannot be imported", "No module named 'nowhere'"]),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: list[str], bnbench: Command, folder: Path) -> None:
    answer = bnbench("check", *words)
    assert (answer.status, len(answer.err)) == (2, 1), answer.err
    assert [part for part in said if part not in answer.err[0]] == [], answer.err
    assert [*folder.rglob("*")] == []


def test_the_table_the_json_and_the_page_say_the_same(bnbench: Command, folder: Path) -> None:
    (folder / "mine.py").write_text(_MODULE)
    files = ["--json", "a.json", "--html", "a.html"]
    answer = bnbench("check", "mine:Wrong", "momentum=0.25", "--like", "torch", "--seconds", "600", *files)
    assert (answer.status, answer.err) == (1, [])
    assert answer.out[0].startswith("mine:Wrong momentum=0.25: torch (torch ")
    text = " ".join(" ".join(answer.out).split())
    assert "the new batch weighs 0.25; momentum=0.25 is the weight of the new batch" in text
    report = json.loads((folder / "a.json").read_text())
    assert report["fails"] is True
    rows = {row["name"]: row for row in report["rows"]}
    assert rows["training output"]["error"] == pytest.approx(1.0)
    assert rows["running mean"]["fails"] is False or rows["running mean"]["explained"]
    page = (folder / "a.html").read_text()
    assert all(name in text and name in page for name in rows)
    assert "<script src" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_fixture_fails_a_test_with_what_is_at_fault(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine=_MODULE)
    pytester.makepyfile(
        """
        from bnbench.check.fixture import check_batch_norm


        def test_right(check_batch_norm):
            assert check_batch_norm("torch.nn:BatchNorm1d", like="torch", seconds=600, eps=1e-3).framework == "torch"


        def test_wrong(check_batch_norm):
            check_batch_norm("mine:Wrong", seconds=600)
        """
    )
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["mine:Wrong: torch (torch *", "  training output: differs by 1; *"])
