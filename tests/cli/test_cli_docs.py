"""The pages that come with bnbench: printed by name, linked from the README, and true about the files they name."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bnbench.claims import load_claims
from bnbench.claims.ours import load_ours, verdict_table
from bnbench.config.folder import conf_dir

if TYPE_CHECKING:
    from conftest import Answer

_TOP = Path(__file__).parents[2]
_DOCS = _TOP / "bnbench" / "docs"
_PAGES = sorted(file.stem for file in _DOCS.glob("*.md"))


def test_a_page_is_listed_linked_and_printed_by_its_name(bnbench: Callable[..., Answer]) -> None:
    assert [line.split()[0] for line in bnbench("docs").out] == _PAGES
    readme = (_TOP / "README.md").read_text()
    assert [page for page in _PAGES if f"(bnbench/docs/{page}.md)" not in readme] == []
    assert bnbench("docs", "norms").out == (_DOCS / "norms.md").read_text().splitlines()


def test_an_unknown_page_is_answered_with_the_names(bnbench: Callable[..., Answer]) -> None:
    answer = bnbench("docs", "nomrs")
    assert (answer.status, answer.err) == (2, [f"docs nomrs is unknown; allowed: {', '.join(_PAGES)}"])


@pytest.mark.parametrize("page", ["../README.md", *(f"bnbench/docs/{page}.md" for page in _PAGES)])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (_TOP / page.removeprefix("../")).read_text()
    named = re.findall(r"`((?:bnbench|conf|tests)/[\w/.]*)`", text)
    assert [path for path in named if not (_TOP / path).exists() and path != "bnbench/conf"] == []


def test_what_there_is_to_edit_to_add_something_is_where_the_page_says() -> None:
    rows = [line for line in (_DOCS / "extending.md").read_text().splitlines() if line.startswith("| a")]
    assert len(rows) == 10
    places = {
        "NORMS": "bnbench.config.norm_catalog",
        "NormConfig": "bnbench.config.norm_catalog",
        "MODELS": "bnbench.config.model_catalog",
        "ModelConfig": "bnbench.config.model_catalog",
        "OPTIMIZERS": "bnbench.config.optimizer_catalog",
        "OptimizerConfig": "bnbench.config.optimizer_catalog",
        "DATASETS": "bnbench.data.catalog",
        "METRICS": "bnbench.record.names",
        "draw_figures": "bnbench.report.figures",
        "VERBS": "bnbench.cli",
        "VerbParser": "bnbench.cli.parser",
        "ChannelNorm": "bnbench.norms.channel_norm",
        "Contrast": "bnbench.analysis.contrast",
    }
    for name, module in places.items():
        assert any(f"`{name}`" in row and module.replace(".", "/") in row for row in rows), name
        assert hasattr(import_module(module), name), name
    text = " ".join((_DOCS / "extending.md").read_text().split())
    below = re.findall(r"`([A-Za-z_]+)` of `(bnbench/[\w/]+)\.py`", text)
    assert {"RULES", "StatisticsNorm", "VARIES_IN_PACK"} <= {name for name, _ in below}
    for name, file in below:
        assert hasattr(import_module(file.replace("/", ".")), name), name


def test_the_architecture_names_every_room() -> None:
    rooms = {file.parent.name for file in (_TOP / "bnbench").glob("*/*.py")} | {"plugins", "docs"}
    text = (_DOCS / "architecture.md").read_text()
    assert sorted(room for room in rooms if f"`{room}`" not in text) == []


def test_the_page_of_claims_has_the_verdicts_that_ship() -> None:
    assert verdict_table(load_ours(), load_claims([conf_dir()])) in (_DOCS / "claims.md").read_text()
