"""The claims that a sweep recorded before its runs stand in its report, with published numbers beside them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bnbench.claims.claim_files import parse_claim
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


@pytest.fixture
def until_claims(make_sweep: Any) -> Contents:
    """A sweep that went on until its claims were settled; for one of its models no claim asks, so only tuning ran."""
    claim = claims_on("placement", [conf_dir()])["C11"]
    text = {**claim.text, "tests": [{**claim.text["tests"][0], "where": {"model": "fc"}}]}
    claim = replace(claim, text=text, hash=parse_claim("C11", text, "C11").hash)
    table = make_sweep(
        axes={"model": ("fc", "cnn"), "optimizer.lr": (0.1, 0.3, 1.0)},
        tuning_seeds=(100, 101),
        seeds=range(16),
        accuracy=lambda p, level: (0.96 if level == "before" else 0.9) - 0.03 * abs(p["optimizer.lr"] - 0.3),
        noise=0.001,
        meta={"claims": {"C11": asdict(claim)}, "looks": [10, 16], "config": {"sweep": {"until": "claims"}}},
    )
    asked = (table.trials["model"] == "fc") | table.trials["tuning"].astype(bool)
    return Contents(replace(table, trials=table.trials[asked].reset_index(drop=True)))


def test_a_sweep_until_claims_opens_with_verdicts_and_says_nothing_where_none_asks(until_claims: Contents) -> None:
    (headline,) = until_claims.headlines
    assert str(headline) == "C11, works better before the activation: supported after 10 seeds."
    assert headline.state.settled
    assert [one.subject for one in until_claims.conclusions] == ["the claims it tests", "mnist_5k, fc"]
    assert "Seeds were added where a claim was open" in " ".join(until_claims.cautions)
