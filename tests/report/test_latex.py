"""LaTeX tables that compile, with as many cells in every line as the table has columns."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bnbench.report import Contents, write_report
from bnbench.report.latex import to_latex

LRS = (0.1, 0.3, 1.0)
UNESCAPED = r"(?<!\\)"
COMPILER = shutil.which("pdflatex") or shutil.which("tectonic")


def tuned(make_sweep: Any, **more: Any) -> Any:
    return make_sweep(axes={"model": ("fc", "cnn"), "optimizer.lr": LRS}, tuning_seeds=(100, 101), **more)


def cells(line: str) -> int:
    """The columns that a line of a table fills."""
    spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
    return 1 + spans + len(re.findall(f"{UNESCAPED}&", line))


def tables(text: str) -> list[tuple[str, list[str]]]:
    """Each table's column kinds and its lines of cells."""
    found = re.findall(r"\\begin\{(tabular|longtable)\}\{@\{\}(.*?)@\{\}\}(.*?)\\end\{\1\}", text, re.DOTALL)
    return [
        (re.sub("{.*?}", "", kinds), [line for line in body.splitlines() if "&" in line]) for _, kinds, body in found
    ]


def test_every_line_has_a_cell_for_each_column(make_sweep: Any) -> None:
    found = tables(to_latex(Contents(tuned(make_sweep))))
    assert len(found) == 3 + 2 * 3 + 2  # arms, differences, other choices; three a model; learning rates
    for kinds, lines in found:
        assert {cells(line) for line in lines} == {len(kinds)}


def test_what_is_begun_is_ended(make_sweep: Any) -> None:
    text = to_latex(Contents(tuned(make_sweep, meta={"question": "50 % of {sets} & more_or #less?"})))
    for kind in ("table", "tabular"):
        assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}") > 0
    body = re.sub(r"\\[{}]", "", text)
    assert body.count("{") == body.count("}")


def test_every_line_of_a_question_is_a_comment(make_sweep: Any) -> None:
    text = to_latex(Contents(tuned(make_sweep, meta={"question": "Does it help\nwith 5% of $x_1?"})))
    before, _, _ = text.partition("\\makeatletter")
    assert "% with 5% of $x_1?\n" in before
    assert all(line.startswith("%") for line in before.splitlines() if line)


def test_an_estimate_stands_with_half_its_interval(make_sweep: Any) -> None:
    text = to_latex(Contents(make_sweep(level_names=("none",))))
    (kinds, (_, line)) = tables(text)[0]
    assert re.match(r"none & \d\d\.\d\d \$\\pm\$ 0\.\d\d & 10 of 10", line)
    assert len(kinds) == 5  # the interval has no column of its own


def test_where_there_is_no_interval_the_cell_says_why(make_sweep: Any) -> None:
    assert "(one seed)" in to_latex(Contents(make_sweep(seeds=(0,))))
    assert "(all equal)" in to_latex(Contents(make_sweep(noise=0.0)))


def test_a_lopsided_interval_keeps_both_ends(make_sweep: Any) -> None:
    """An accuracy near 1 has its interval cut there."""
    text = to_latex(Contents(make_sweep(level_names=("none",), accuracy=lambda p, level: 0.999, noise=0.01)))
    assert re.search(r"none & 99\.\d\d \(9\d\.\d\d to 100\.00\)", text)


@pytest.mark.skipif(COMPILER is None, reason="neither pdflatex nor tectonic is installed")
@pytest.mark.parametrize("by", ["itself", "a paper"])
def test_it_compiles(make_sweep: Any, tmp_path: Path, by: str) -> None:
    odd = "Is 50 % of $x_1$ & {more} ~ #1 \\\\ <b> \N{GREATER-THAN OR EQUAL TO} \N{SNOWMAN}?"
    table = make_sweep(
        axes={"model.activation": ("re_lu", "tan&h"), "optimizer.lr": (0.01, 0.03, 0.1, 0.3, 1.0)},
        level_names=("none", "before", "after"),
        tuning_seeds=(100, 101),
        meta={"question": odd},
    )
    write_report(Contents(table), tmp_path, ["tex"])
    needs = r"\usepackage{booktabs,longtable,graphicx,color}"
    paper = rf"\documentclass{{article}}{needs}\begin{{document}}x\input{{report}}\end{{document}}"
    (tmp_path / "paper.tex").write_text(paper)
    name = "report.tex" if by == "itself" else "paper.tex"
    flags = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in str(COMPILER) else []
    done = subprocess.run([str(COMPILER), *flags, name], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / name).with_suffix(".pdf").exists()
