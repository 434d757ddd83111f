"""Lessons: every source is one, and what a lesson says follows from what it ran."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from bnbench.cli import run_verb
from bnbench.config import ConfigError
from bnbench.lessons import Slide
from bnbench.lessons.notebook import LessonFailedError, as_notebook, execute
from bnbench.lessons.source import lesson_names, parse, read_lesson

_SOURCE = """# %% [markdown] tags=["title"] seconds=5
# # Sums
# %% [markdown] tags=["question"]
# How many?
# %% tags=["answer"]
{code}
# %% [markdown] tags=["sources"]
# Euclid.
"""


def _answer(folder: Path, name: str) -> str:
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if "answer" in cell.metadata.get("tags", [])]
    return str(cell.outputs[-1]["data"]["text/markdown"])


@pytest.mark.parametrize("name", lesson_names())
def test_every_source_is_a_lesson_with_a_question_and_takes_less_than_a_minute(name: str) -> None:
    lesson = read_lesson(name)
    assert lesson.question.endswith("?")
    assert 0 < lesson.seconds <= 60
    assert "arXiv:" in lesson.tagged("sources")
    assert as_notebook(lesson) == as_notebook(lesson)


def test_the_list_has_each_lesson_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    run_verb("lesson", [])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == lesson_names()
    assert all(line.endswith("?") for line in lines)


def test_batch_norm_by_hand_is_executed_and_its_answer_holds(tmp_path: Path) -> None:
    run_verb("lesson", ["by_hand", "--folder", str(tmp_path)])
    page = (tmp_path / "by_hand.html").read_text()
    assert not re.search(r'(src|href)="(?!#|https://arxiv)', page)
    assert "findfont" not in page
    for number in (1, 2):
        assert (tmp_path / f"by_hand-{number}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"by_hand-{number}.svg").read_text().startswith("<svg xmlns=")
    # The judge: of two examples, whose dy is 1/2 away from its mean, dx is gamma * eps / (2 * std^3) in closed form.
    x, gamma, eps = np.array([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]]), np.array([1.0, 2.0, 1.0]), 1e-5
    largest = (gamma * eps / (2 * (x.var(axis=0) + eps) ** 1.5)).max()
    assert f"{largest:.2g} at the largest element" in " ".join(_answer(tmp_path, "by_hand").split())


@pytest.mark.slow
def test_learning_rates_are_executed_and_the_answer_is_that_of_the_trials(tmp_path: Path) -> None:
    run_verb("lesson", ["learning_rates", "--folder", str(tmp_path)])
    trials = pd.read_csv(tmp_path / "runs" / "latest" / "trials.csv", keep_default_na=False, na_values=[""])
    means = trials.assign(acc=trials["test/acc"].fillna(0)).groupby(["norm", "optimizer.lr"])["acc"].mean()
    near = {norm: int((means[norm] >= means[norm].max() - 0.05).sum()) for norm in ("none", "batch")}
    said = " ".join(_answer(tmp_path, "learning_rates").split())
    assert f"without norm is at **{near['none']} of 7** learning rates" in said
    assert f"with batch norm at **{near['batch']}**" in said


def _vanishing(trials: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    start = curves[curves["step"] == 0].merge(trials[["key", "model.init", "model.activation", "norm"]], on="key")
    logs = np.log10(
        start.set_index(["model.init", "model.activation", "norm"])[["gradient/layer_02", "gradient/layer_10"]]
    )
    ratio = 10 ** logs.diff(axis=1).iloc[:, 1].groupby(level=[0, 1, 2]).mean()
    smaller = [float(f"{ratio['torch', activation, 'none']:.2g}") for activation in ("sigmoid", "relu")]
    return [f"**{times:,.0f} times smaller**" for times in smaller]


def _train_and_eval(trials: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    means = trials.groupby(["norm.momentum", "norm.inference"])["test/acc"].mean()
    assert means[0.1, "running"] > means[0.1, "initial"] + 0.05
    return [
        f"**{means[0.1, 'initial']:.0%}** of the test images",
        f"updated - never updated is {100 * (means[0.1, 'running'] - means[0.1, 'initial']):+.1f} pp",
    ]


def _batch_size_1(trials: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    alone = trials[(trials["norm"] == "batch") & (trials["training.batch_size"] == 1)]
    fc = alone[alone["model"] == "fc"]
    assert (curves[curves["key"].isin(fc["key"])]["gradient/layer_01"].dropna() == 0).all()
    conv = alone[alone["model"] == "cnn"]["test/acc"].mean()
    return ["**exactly 0** at every step", f"**{fc['test/acc'].mean():.1%}**", f"**{conv:.1%}** at batch size 1"]


def _placement(trials: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    accuracy = trials.assign(accuracy=trials["test/acc"].fillna(0.0))
    means = (
        accuracy[accuracy["norm"] == "batch"].groupby(["model", "norm.placement", "optimizer.lr"])["accuracy"].mean()
    )
    best = {(model, side): means[model, side] for model in ("fc", "cnn") for side in ("before", "after")}
    named = {"before": "before the activation", "after": "after it"}
    return [f"{named[side]} {own.max():.1%} (at {own.idxmax():g})" for (_, side), own in best.items()]


def _input_scaling(trials: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    accuracy = trials.assign(accuracy=trials["test/acc"].fillna(0.0))
    arms = accuracy.groupby(["model.depth", "norm", "data.scaling", "optimizer.lr"])["accuracy"].mean()
    plain, normed = arms[3, "none"], arms[3, "batch"]
    spread = (normed.unstack("data.scaling").max(axis=1) - normed.unstack("data.scaling").min(axis=1)).max()
    factor = plain["unit"].idxmax() / plain["raw"].idxmax()
    return [f"a factor of **{factor:g}**", f"differ by more than **{100 * spread:.1f} pp**"]


@pytest.mark.slow
@pytest.mark.parametrize("expected", [_vanishing, _train_and_eval, _batch_size_1, _placement, _input_scaling])
def test_an_answer_is_that_of_the_trials(
    expected: Callable[[pd.DataFrame, pd.DataFrame], list[str]], tmp_path: Path
) -> None:
    name = expected.__name__.removeprefix("_")
    run_verb("lesson", [name, "--folder", str(tmp_path)])
    said = " ".join(_answer(tmp_path, name).split())
    tables = [
        pd.read_csv(tmp_path / "runs" / "latest" / f"{table}.csv", keep_default_na=False, na_values=[""])
        for table in ("trials", "curves")
    ]
    for words in expected(*tables):
        assert words in said
    assert (tmp_path / f"{name}-1.png").read_bytes().startswith(b"\x89PNG")
    assert "Warning" not in (tmp_path / f"{name}.html").read_text()


def test_a_cell_that_fails_is_told_in_a_line_and_its_notebook_kept(tmp_path: Path) -> None:
    lesson = parse("sums", _SOURCE.format(code="1 / 0"))
    with pytest.raises(LessonFailedError, match="lesson sums failed: ZeroDivisionError: division by zero") as failed:
        execute(lesson, tmp_path)
    assert failed.value.notebook.cells[2].outputs[0]["ename"] == "ZeroDivisionError"


def test_an_unknown_lesson_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"lesson by_hnad is unknown; allowed: .*by_hand, .*by_hand"):
        run_verb("lesson", ["by_hnad"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n" + _SOURCE.format(code="1"), "has text before its first cell: x = 1"),
        (_SOURCE.format(code="1").replace("# %% tags", "# %% [code] tags"), "which is not understood"),
        (_SOURCE.format(code="1").replace(' tags=["answer"]', ""), "it must be title, question, answer, sources"),
        (_SOURCE.format(code="1").replace(" seconds=5", ""), "does not say how many seconds"),
    ],
)
def test_a_source_that_is_no_lesson_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse("sums", text)


def test_a_slide_that_does_not_say_what_it_shows_is_refused() -> None:
    slide = Slide("Nothing")
    with pytest.raises(ValueError, match="has no alt"):
        _ = slide.svg
