"""A report's files: exact, repeatable, self-contained, and written whatever became of the trials."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from bnbench.analysis import Analysis, SweepTable
from bnbench.config import ConfigError
from bnbench.record import names
from bnbench.report import Contents, write_report
from bnbench.report.figures import draw_figures
from bnbench.report.figures.palette import palette

BY_FORMAT = {
    "html": ["report.html"],
    "md": ["report.md"],
    "tex": ["report.tex"],
    "csv": ["trials.csv", "trials.parquet", "curves.csv", "arms.csv", "differences.csv", "robustness.csv"],
}
FILES = [*(name for names in BY_FORMAT.values() for name in names), "manifest.json"]
CHARTS = ("svg", "png", "pdf")
VOID = {"meta", "br", "hr", "img", "input", "link"}
LRS = (0.1, 0.3, 1.0)


class Page(HTMLParser):
    """Collects a page's references, ids and text, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if tag == "svg" and name == "aria-label":
                self.labels.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same(rows: list[dict[str, str]], frame: pd.DataFrame) -> None:
    """Floats to the last bit, all else as text; an empty cell is a missing value."""
    assert len(rows) == len(frame)
    for column in frame:
        for row, value in zip(rows, frame[column], strict=True):
            cell = row[str(column)]
            same = float(cell) == value if isinstance(value, float) and cell else cell == str(value)
            assert same or (cell == "" and (pd.isna(value) or value == ""))


def placement(make_sweep: Any) -> Any:
    return make_sweep(
        axes={"model": ("fc", "cnn"), "optimizer.lr": LRS},
        tuning_seeds=(100, 101, 102),
        accuracy=lambda params, level: 0.9 + 0.02 * (level == "after"),
        status=lambda p, level: (
            "diverged" if level == "none" and p["optimizer.lr"] == 1 and p["seed"] < 3 else "finished"
        ),
    )


@pytest.fixture(scope="module")
def written(make_sweep: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of the placement sweep's report; to be read only."""
    return write_report(Contents(placement(make_sweep)), tmp_path_factory.mktemp("report"))


CASES: dict[str, dict[str, Any]] = {
    "one seed": {"seeds": (0,), "axes": {"optimizer.lr": LRS}},
    "one trial": {"seeds": (0,), "level_names": ("before",), "meta": {"varied": []}},
    "one level": {"level_names": ("none",), "meta": {"varied": ["seed"]}},
    "all diverged": {"status": lambda p, level: "diverged", "axes": {"optimizer.lr": LRS}},
    "all undefined": {"status": lambda p, level: "undefined"},
    "all missing": {"status": lambda p, level: "missing"},
    "some missing": {"status": lambda p, level: "missing" if p["seed"] > 5 else "finished"},
    "only tuning seeds": {"seeds": (), "tuning_seeds": (100, 101), "axes": {"optimizer.lr": LRS}},
    "all equal": {"noise": 0.0},
    "two models": {"axes": {"model": ("fc", "cnn")}, "targets": {"fc": (0.8,), "cnn": (0.85, 0.9)}},
    "two data sets": {"axes": {"data": ("mnist_5k", "digits")}},
    "no targets": {"targets": ()},
    "batch sizes": {
        "axes": {"training.batch_size": (1, 8, 64), "optimizer.lr": LRS},
        "tuning_seeds": (100, 101, 102),
        "status": lambda p, level: "undefined" if level != "none" and p["training.batch_size"] == 1 else "finished",
        "meta": {"axis": "training.batch_size"},
    },
    "unknown surroundings": {
        "meta": {"git": {}, "hardware": {}, "versions": {}, "data": [], "wall_seconds": None, "question": ""}
    },
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_a_report_is_written_whatever_became_of_the_trials(make_sweep: Any, tmp_path: Path, case: str) -> None:
    contents, folder = Contents(make_sweep(**CASES[case])), tmp_path / "made"
    paths = write_report(contents, folder)
    charts = [name for name in paths if name.startswith("figures/")]
    assert [name for name in paths if name not in charts] == FILES
    drawn = [panel for figure in contents.figures for row in figure.rows for panel in row.panels]
    assert len(set(charts)) == len(CHARTS) * len(drawn)
    there = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert sorted(there) == sorted(paths)
    Page(paths["report.html"].read_text())


def test_the_same_table_gives_the_same_bytes(written: dict[str, Path], make_sweep: Any, tmp_path: Path) -> None:
    again = write_report(Contents(placement(make_sweep)), tmp_path)
    assert list(again) == list(written)
    for name in written:
        assert written[name].read_bytes() == again[name].read_bytes(), name


def test_every_chart_is_a_file_of_each_kind_in_the_colours_of_the_light(written: dict[str, Path]) -> None:
    charts = sorted(path for name, path in written.items() if name.startswith("figures/"))
    kinds = {path.stem: {other.suffix[1:] for other in charts if other.stem == path.stem} for path in charts}
    assert len(kinds) > 10
    assert all(of == {*CHARTS} for of in kinds.values())
    assert "validation-accuracy-against-step-fc-learning-rate-0_1" in kinds
    for path in charts:
        content = path.read_bytes()
        if path.suffix == ".pdf":
            assert content.startswith(b"%PDF")
            assert b"CreationDate" not in content
        elif path.suffix == ".png":
            assert content.startswith(b"\x89PNG\r\n")
        else:
            text = ElementTree.fromstring(content)
            assert text.tag == "{http://www.w3.org/2000/svg}svg"
            assert b"var(--" not in content
            assert palette()["level-1"].encode() in content or palette()["ink"].encode() in content


def test_the_charts_that_latex_includes_are_beside_it(make_sweep: Any, tmp_path: Path) -> None:
    paths = write_report(Contents(placement(make_sweep)), tmp_path, ["tex"])
    included = re.findall(r"\\includegraphics\[[^]]*\]\{(.*)\}", paths["report.tex"].read_text())
    assert included
    assert sorted(included) == sorted(name for name in paths if name.startswith("figures/"))
    assert all((tmp_path / name).is_file() for name in included)


def test_the_page_takes_nothing_from_elsewhere(written: dict[str, Path]) -> None:
    text = written["report.html"].read_text()
    page = Page(text)
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    assert re.findall(r"url\((?!#)|@import|<script |<link|https?://|fetch\(|XMLHttpRequest|import\(", text) == []


def test_an_id_stands_once_and_every_reference_finds_its_own(written: dict[str, Path]) -> None:
    text = written["report.html"].read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    used = {reference[1:] for reference in page.references} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used <= set(page.ids)


def test_every_chart_says_what_it_shows(written: dict[str, Path]) -> None:
    text = written["report.html"].read_text()
    labels = Page(text).labels
    # For each of two models: the answer; three learning rates twice, then accuracies and three contrasts.
    assert len(labels) == text.count('role="img"') == 2 * (1 + 3 + 4 + 3)
    # The bars beside a row of numbers say nothing more than these.
    assert text.count("<svg") == len(labels) + text.count('<svg class="bar"') == len(labels) + text.count("aria-hidden")
    assert labels[0].startswith(
        "Paired differences of test accuracy with 95 % intervals, fc. before \N{MINUS SIGN} no norm: "
    )
    assert "Validation accuracy against step, fc, learning rate 0.1. Mean at the last step: none" in labels[2]


def test_subjects_with_a_single_chart_stand_side_by_side(make_sweep: Any) -> None:
    (row,) = draw_figures(Analysis(make_sweep(axes={"model": ("fc", "cnn")})))[0].rows
    assert [panel.title for panel in row.panels] == ["fc", "cnn"]


def test_no_colour_is_fixed_so_that_charts_follow_light_and_dark(written: dict[str, Path]) -> None:
    text = written["report.html"].read_text()
    assert re.findall(r"(?:fill|stroke): #\w+", text) == []


def test_words_from_outside_are_escaped(make_sweep: Any, tmp_path: Path) -> None:
    table = make_sweep(
        axes={"model.activation": ("<b>relu", "tanh")},
        meta={"question": "Is <script>alert(1)</script> | safe?"},
    )
    paths = write_report(Contents(table), tmp_path)
    html = paths["report.html"].read_text()
    assert "<script>alert" not in html
    assert html.count("<script") == 1
    assert "<b>" not in html
    assert "Is \\<script>alert(1)\\</script> \\| safe?" in paths["report.md"].read_text()


def test_trials_csv_reads_back_to_the_last_bit(make_sweep: Any, tmp_path: Path) -> None:
    table = placement(make_sweep)
    thirds = np.random.default_rng(0).random(len(table.trials)) / 3
    table.trials[names.TEST_ACC] = thirds
    rows = read_csv(write_report(Contents(table), tmp_path, ["csv"])["trials.csv"])
    needed = {
        "key",
        "status",
        "reason",
        "diverged_step",
        "tuning",
        "seed",
        "norm",
        "norm.placement",
        "optimizer.lr",
    }
    needed |= {names.TEST_ACC, names.steps_to(0.9), names.reached(0.9), names.examples_to(0.9)}
    assert needed <= set(rows[0])
    assert_same(rows, table.trials[list(rows[0])])


def test_steps_that_were_missed_are_empty_in_trials_csv_beside_the_budget(make_sweep: Any, tmp_path: Path) -> None:
    rows = read_csv(
        write_report(Contents(make_sweep(accuracy=lambda params, level: 0.5)), tmp_path, ["csv"])["trials.csv"]
    )
    assert {row[names.reached(0.9)] for row in rows} == {"0.0"}
    assert {row[names.steps_to(0.9)] for row in rows} == {row[names.examples_to(0.9)] for row in rows} == {""}
    assert {row["training.steps"] for row in rows} == {"800"}


def test_curves_csv_reads_back_to_the_last_bit(make_sweep: Any, tmp_path: Path) -> None:
    table = placement(make_sweep)
    assert_same(read_csv(write_report(Contents(table), tmp_path, ["csv"])["curves.csv"]), table.curves)


def test_the_manifest_is_strict_json_with_the_keys_of_all_trials(make_sweep: Any, tmp_path: Path) -> None:
    table = make_sweep()
    manifest = json.loads(
        write_report(Contents(table), tmp_path, ["md"])["manifest.json"].read_text(), parse_constant=pytest.fail
    )
    assert [trial["key"] for trial in manifest["trials"]] == table.trials["key"].tolist()
    assert {"command", "config", "versions", "git", "data", "hardware"} <= set(manifest)


def test_markdown_has_every_table_and_caution(written: dict[str, Path]) -> None:
    text = written["report.md"].read_text()
    assert "| learning rate | norm | accuracy, % | 95 % interval | finished |" in text
    assert "| 1 | none |" in text
    assert "7 of 10, 3 diverged" in text
    assert "## What could mislead" in text
    assert f"checksum {'ab' * 32}" in text


@pytest.mark.parametrize("asked", [["html"], ["md"], ["tex"], ["csv"], ["csv", "md"], ["figures"]])
def test_only_the_formats_asked_for_are_written(make_sweep: Any, tmp_path: Path, asked: list[str]) -> None:
    paths = write_report(Contents(make_sweep()), tmp_path, asked)
    charts = {name for name in paths if name.startswith("figures/")}
    assert {name.rpartition(".")[2] for name in charts} == {"figures": {*CHARTS}, "tex": {"pdf"}}.get(asked[0], set())
    assert {*paths} - charts == {"manifest.json"}.union(*(BY_FORMAT.get(kind, ()) for kind in asked))
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == {*paths}


def test_an_unknown_format_is_answered_before_anything_is_written(make_sweep: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format pdf is unknown; allowed: html, md, tex, csv, figures,"):
        write_report(Contents(make_sweep()), tmp_path / "made", ["html", "pdf"])
    assert not (tmp_path / "made").exists()


def test_a_sweep_without_trials_is_answered_in_a_line(make_sweep: Any, tmp_path: Path) -> None:
    full = make_sweep()
    empty = SweepTable(full.record, full.trials[:0], full.curves[:0])
    with pytest.raises(ConfigError, match=r"^sweep placement-3f9a1c has no trial: there is nothing to report$"):
        write_report(Contents(empty), tmp_path)


def test_the_sections_stand_in_the_order_in_which_they_are_read(written: dict[str, Path]) -> None:
    order = ["Results", "What could mislead", "All numbers", "The same bits again"]
    for name, mark in (("report.html", "<h2>"), ("report.md", "\n## ")):
        text = written[name].read_text()
        at = [text.index("own tuned learning rate"), *(text.index(mark + title) for title in order)]
        assert at == sorted(at)


def test_the_statistics_are_written_as_data(make_sweep: Any, tmp_path: Path) -> None:
    table = placement(make_sweep)
    paths = write_report(Contents(table), tmp_path, ["csv"])
    analysis = Analysis(table)
    assert_same(read_csv(paths["arms.csv"]), pd.DataFrame([arm.row for arm in analysis.arms]))
    rows = read_csv(paths["differences.csv"])
    assert [row["rates"] for row in rows] == ["equal"] * 18 + ["tuned"] * 6
    assert_same(rows[18:], pd.DataFrame([{**one.row, "rates": "tuned"} for one in analysis.tuned_differences]))


def test_a_failing_write_leaves_the_older_report_whole(make_sweep: Any, tmp_path: Path, monkeypatch: Any) -> None:
    written = write_report(Contents(make_sweep()), tmp_path)
    before = written["trials.csv"].read_bytes()

    def fail(*_: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(Contents(make_sweep(seeds=(0, 1))), tmp_path)
    assert (tmp_path / "trials.csv").read_bytes() == before
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*written.values()}


def test_a_perfect_accuracy_is_drawn(make_sweep: Any, tmp_path: Path) -> None:
    table = make_sweep()
    table.curves[names.VAL_ACC] = 1.0
    charts = re.findall("<svg.*?</svg>", write_report(Contents(table), tmp_path)["report.html"].read_text(), re.DOTALL)
    assert charts
    assert not re.search(r"\b(nan|inf)\b", "".join(charts))


def test_a_thousand_trials_take_seconds_and_a_page_that_can_be_sent(make_sweep: Any, tmp_path: Path) -> None:
    axes = {"model": ("fc", "cnn"), "optimizer.lr": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)}
    table = make_sweep(axes=axes, seeds=range(26), tuning_seeds=(100, 101), grid_points=60)
    assert len(table.trials) == 1008
    started = time.process_time()  # of this process alone, whatever else the machine does
    path = write_report(Contents(table), tmp_path, ["html"])["report.html"]
    assert time.process_time() - started < 30  # measured: 8 s
    assert path.stat().st_size < 3e6


def test_importing_the_report_draws_in_no_heavy_library() -> None:
    heavy = ["matplotlib", "jinja2", "scipy.stats", "torch", "mlflow"]
    code = f"import sys, bnbench.report; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_cell_says_its_column_where_rows_stand_one_value_below_the_other(written: dict[str, Path]) -> None:
    page = written["report.html"].read_text(encoding="utf-8")
    tables = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert tables
    for body in tables:
        cells = [cell for cell in re.findall(r"<td ([^>]*)>", body) if 'class="bars"' not in cell]
        assert all(re.search(r'data-head="[^"]+"', cell) for cell in cells)
    narrow = page[page.index("@media (max-width: 40rem)") :]
    assert "attr(data-head)" in narrow


def test_parquet_has_the_rows_of_the_csv_with_their_types(make_sweep: Any, tmp_path: Path) -> None:
    table = make_sweep(axes={"model": ("fc",), "optimizer.lr": LRS})
    mixed = table.trials.assign(model=[i if i % 2 else "fc" for i in range(len(table.trials))])
    paths = write_report(Contents(replace(table, trials=mixed)), tmp_path, ["csv"])
    found, rows = pd.read_parquet(paths["trials.parquet"]), read_csv(paths["trials.csv"])
    assert [*found] == [*rows[0]]
    assert_same(rows, found)
    assert found["seed"].dtype == np.int64
    assert found["test/acc"].dtype == np.float64
    assert set(found["model"].iloc[:2]) == {"fc", "1"}
