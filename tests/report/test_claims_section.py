"""The claims that a sweep recorded before its runs stand in its report, with published numbers beside them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bnbench.claims.history import claims_on
from bnbench.config.folder import conf_dir
from bnbench.report import Contents, write_report


@pytest.fixture
def claimed(make_sweep: Any) -> Contents:
    table = make_sweep(
        axes={"model": ("fc",), "optimizer.lr": (0.1, 0.3, 1.0)},
        tuning_seeds=(100, 101, 102),
        accuracy=lambda p, level: (0.96 if level == "before" else 0.9) - 0.03 * abs(p["optimizer.lr"] - 0.3),
        noise=0.001,
        meta={"claims": {id: asdict(claim) for id, claim in claims_on("placement", [conf_dir()]).items()}},
    )
    return Contents(table)


def test_a_claim_stands_with_its_verdict_evidence_and_published_numbers(claimed: Contents) -> None:
    [said] = [one for one in claimed.claims if one.id == "C11"]
    assert said.sentence.startswith("Batch norm before the activation reaches a higher accuracy than after it.")
    assert said.verdict == "supported"
    assert "95 % interval" in said.evidence
    assert any(line.startswith("Criterion: Two-sided") for line in said.beside)
    assert any("caffenet-benchmark" in line and "before 0.474" in line for line in said.published)


def test_every_format_of_words_has_the_claims(claimed: Contents, tmp_path: Path) -> None:
    paths = write_report(claimed, tmp_path, ["html", "md"])
    assert "<h3>C11: supported</h3>" in paths["report.html"].read_text()
    assert "### C11: supported" in paths["report.md"].read_text()


def test_the_conclusion_ends_with_their_verdicts(claimed: Contents) -> None:
    last = claimed.conclusions[-1]
    assert last.subject == "the claims it tests"
    [said] = [one for one in claimed.claims if one.id == "C11"]
    [sentence] = [one for one in last.sentences if one.claim.startswith("C11, ")]
    assert sentence.claim.endswith(f": {said.verdict}")
    assert said.evidence in sentence.evidence


def test_a_sweep_without_claims_has_no_section(make_sweep: Any, tmp_path: Path) -> None:
    said = Contents(make_sweep(seeds=(0, 1)))
    assert said.claims == []
    assert 'id="claims"' not in write_report(said, tmp_path, ["html"])["report.html"].read_text()
