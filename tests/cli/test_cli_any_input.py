"""Whatever is typed: it is planned, or answered line by line with status 2; never with a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnbench.__main__ import main
from bnbench.cli import VERBS
from bnbench.config.schema import Config

_ODD = (
    *("", "0", "-1", "1e999", "nan", "inf", "null", "true", "~", "[]", "{}", "[1,2]", "{a: 1}", "a,b", "1,,2", ","),
    *("range(3)", "range(0)", "choice(1,2)", "sort(1,2)", "interval(0,1)", "glob(*)", "${seed}", "${nowhere}", "$"),
    *("'", '"', "\\", "[", "]", "(", ")", "=", "==", "é", "\u2028", "a b", "../x", "/dev/null", "-", "--", "@", "#"),
    *("%", "x" * 300, "9" * 30, "1_000", "0x10", "+1", "1.", ".5", "none", "batch", "fc", "cnn", "digits", "???"),
)


def _keys(kind: type = Config, prefix: str = "") -> list[str]:
    from dataclasses import fields, is_dataclass

    found = []
    for f in fields(kind):
        if is_dataclass(f.default_factory):
            found += [prefix + f.name, *_keys(f.default_factory, f"{prefix}{f.name}.")]
        else:
            found.append(prefix + f.name)
    return found


_VALUES = st.sampled_from(_ODD) | st.integers().map(str) | st.floats().map(str) | st.text(max_size=12)
_NAMES = st.sampled_from([k for k in _keys() if k not in ("plan_only", "runs_dir", "data.root", "tracking.uri")])
_SETTINGS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "", "+", "++", "~"]),
    _NAMES | st.text(max_size=8),
    st.sampled_from(["=", "=", "=", ""]),
    _VALUES,
)
_WORDS = _SETTINGS | st.sampled_from(["+sweep=smoke", "+sweep=nope", "sweep=smoke", "+sweep=[smoke,placement]", "-m"])
_SAFE = ("plan_only=true", "data=digits")


def _run(words: list[str]) -> tuple[int, str]:
    """The exit status, and what was said on stderr; any exception but an exit is the test's failure."""
    err, before = io.StringIO(), sys.argv
    sys.argv = ["bnbench", *words]
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main()
    finally:
        sys.argv = before
    return int(end.value.code or 0), err.getvalue()


def _check(words: list[str]) -> None:
    status, said = _run(words)
    assert status in (0, 2), (words, said)
    assert "Traceback" not in said
    assert bool(said.strip()) == (status == 2), (words, said)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> object:
    """An empty folder to be in, with Hydra's errors as in a process of its own."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("any"))
    yield
    os.chdir(before)
    os.environ.pop("HYDRA_FULL_ERROR", None)


@pytest.mark.parametrize("examples", [60, pytest.param(1500, marks=pytest.mark.faults)])
def test_settings(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(st.lists(_WORDS, min_size=1, max_size=3))
    def holds(words: list[str]) -> None:
        _check([*words, *_SAFE])

    holds()


@pytest.mark.parametrize("examples", [40, pytest.param(1000, marks=pytest.mark.faults)])
def test_verbs(examples: int) -> None:
    # `bench`, `time` and `ui` have options of argparse's, with its own answer; what they do takes minutes.
    quick = [verb for verb in VERBS if verb not in ("bench", "time", "ui")]

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(st.sampled_from(quick), st.lists(_WORDS | _VALUES, max_size=2))
    def holds(verb: str, words: list[str]) -> None:
        _check([verb, *words])

    holds()
