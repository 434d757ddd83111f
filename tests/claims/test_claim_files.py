"""Claim files: those that come with bnbench, a user's own, and what is answered to one with an error."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bnbench.claims import Claim, load_claims
from bnbench.claims.claim_files import parse_claim, recorded
from bnbench.config import ConfigError
from bnbench.config.folder import conf_dir
from bnbench.record import names

LEDGER = [f"C{n}" for n in range(1, 21)]
MINE: dict[str, Any] = {
    "title": "does what I say",
    "sentence": "Batch norm does what I say.",
    "source": "me",
    "sweep": "placement",
    "criterion": "a point or more",
    "tests": [{"name": "accuracy", "kind": "greater", "contrast": "before - none", "margin": "1 pp"}],
}


def changed(**changes: Any) -> dict[str, Any]:
    """A claim with one test, some of whose keys are replaced."""
    claim = copy.deepcopy(MINE)
    claim["tests"][0] |= changes
    return claim


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(text: Any, name: str = "MINE") -> Path:
        (tmp_path / "claim").mkdir(exist_ok=True)
        (tmp_path / "claim" / f"{name}.yaml").write_text(text if isinstance(text, str) else yaml.safe_dump(text))
        return tmp_path

    return write


def test_claims_stand_in_the_ledgers_order(claims: dict[str, Claim]) -> None:
    order = [*claims]
    assert {*LEDGER, "C1b", "C2b", "C10b"} == {*order}
    assert order.index("C1") < order.index("C1b") < order.index("C2") < order.index("C2b") < order.index("C10")
    assert [id for id in order if id in LEDGER] == [id for id in LEDGER if id in claims]


def test_a_claim_is_recorded_and_read_back_as_it_is(claims: dict[str, Claim]) -> None:
    for id, claim in claims.items():
        again = parse_claim(id, json.loads(json.dumps(recorded(claim))), "")
        assert again == claim
        assert again.hash == claim.hash


def test_a_users_claim_stands_beside_ours_and_hides_one_of_the_same_name(folder: Callable[..., Path]) -> None:
    own = folder(MINE)
    folder(changed(margin="2 pp"), "C11")
    found = load_claims([own, conf_dir()])
    assert found["MINE"].title == "does what I say"
    assert found["C11"].tests[0].margin is not None
    assert found["C11"].tests[0].margin.size == 0.02
    assert "C9" in found


@pytest.mark.parametrize("key", ["sentence", "sweep", "criterion", "tests"])
def test_what_decides_changes_the_hash(key: str) -> None:
    other = changed(margin="2 pp") if key == "tests" else {**MINE, key: "depth"}
    assert parse_claim("C", other, "").hash != parse_claim("C", MINE, "").hash


@pytest.mark.parametrize("key", ["title", "source"])
def test_citing_another_source_does_not_change_the_hash(key: str) -> None:
    assert parse_claim("C", {**MINE, key: "other"}, "").hash == parse_claim("C", MINE, "").hash


WRONG = {
    "unknown key": ({**MINE, "tset": 1}, "tset is not a key of a claim; allowed here: title, sentence"),
    "unknown key of a test": (changed(margn="1 pp"), "tests[0].margn is not a key of a claim"),
    "missing key": ({k: v for k, v in MINE.items() if k != "sweep"}, "sweep is missing"),
    "no text": ({**MINE, "sentence": 3}, "sentence=3 is not allowed; it must be a text"),
    "blank": ({**MINE, "sentence": " "}, "sentence= is not allowed; it must be a text"),
    "another id": ({**MINE, "id": "C11"}, "id=C11 is not allowed; a claim has the name of its file"),
    "no tests": ({**MINE, "tests": []}, "tests=[] is not allowed; it should have at least 1 item"),
    "tests are no list": ({**MINE, "tests": 3}, "tests=3 is not allowed; it should be a valid list"),
    "no mapping": ({**MINE, "tests": [3]}, "tests[0] must have keys; allowed: kind, name, contrast"),
    "no truth value": (changed(decides="yes"), "tests[0].decides=yes is not allowed; it should be a valid boolean"),
    "no number": (changed(value="8"), "tests[0].value=8 is not allowed; it must be a number"),
    "nothing decides": (changed(decides=False), "no test decides the claim"),
    "unknown sweep": ({**MINE, "sweep": "plcaement"}, "sweep=plcaement is unknown; allowed: accuracy, "),
    "unknown kind": (changed(kind="larger"), "tests[0].kind=larger is not allowed; allowed: greater, two_sided"),
    "unknown measure": (changed(measure="test/accuracy"), "tests[0].measure=test/accuracy is not allowed; allowed: "),
    "steps of those that hit": (changed(measure="steps_to/val_acc_0.9"), "measure=steps_to/val_acc_0.9 is not allowed"),
    "examples of those that hit": (changed(measure="examples_to/val_acc_0.9"), "is not allowed; allowed: train/loss"),
    "unlike measures": (
        changed(measure="test/acc - test/loss"),
        "has the units fraction and nats".replace("has", "have"),
    ),
    "no unit": (changed(margin=0.5), "tests[0].margin=0.5 is not allowed; give a number >= 0 and its unit: 0.5 pp"),
    "wrong unit": (changed(margin="0.5 decades"), "tests[0].margin=0.5 decades is not allowed; its unit must be pp"),
    "unit of a ratio": (changed(kind="ratio", measure="steps_to/val_acc"), "its unit must be times"),
    "no margin": (changed(margin=None), "kind=greater needs one, in pp"),
    "margin of nothing": (changed(kind="equivalent", margin="0 pp"), "kind=equivalent needs a margin > 0"),
    "unneeded margin": (changed(kind="success"), "kind=success has none"),
    "steps need a ratio": (changed(measure="steps_to/val_acc"), "go with kind=ratio or kind=near"),
    "three levels": (changed(contrast="a - b - c"), "it must be two levels of the sweep, 'a - b', or one"),
    "one level": (changed(kind="success", margin=None, contrast="a"), "kind=success compares two levels"),
    "statistic of one trial": (changed(along="model.depth"), "such a statistic needs it"),
    "statistic without a key": (changed(statistic="range"), "such a statistic needs it"),
    "slope over two keys": (changed(statistic="slope", along=["a", "b"]), "statistic=slope runs over one key"),
    "best of all rates": (changed(statistic="range", along="optimizer.lr", rates="best"), "allowed: matched"),
    "curve without a step": (changed(measure=names.VAL_ACC), "a measure along the training needs one of start, end"),
    "step of a final": (changed(at="end"), "a measure along the training needs one of start, end"),
    "near nothing": (changed(kind="near", measure="steps_to/val_acc", margin="2 times"), "needs the ratio"),
    "unknown check": (changed(kind="computed", check="pi"), "tests[0].check=pi is not allowed; allowed: bias_before"),
    "check without need": (changed(check="batch_of_one"), "only kind=computed checks by code"),
    "where is no mapping": (changed(where="fc"), "tests[0].where=fc is not allowed; it should be a valid dictionary"),
    "not YAML": ("title: [", "cannot be read: while parsing"),
    "unknown combination": ({**MINE, "combine": "any"}, "combine=any is not allowed; allowed: conditions, settings"),
    "empty": ("", "the file must have keys; allowed: title"),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_claim_with_an_error_is_answered_in_one_line(text: Any, expected: str, folder: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError) as error:
        load_claims([folder(text), conf_dir()])
    message = str(error.value)
    assert expected in message
    assert "MINE.yaml" in message
    assert len(message.splitlines()) == 1


def test_a_test_that_cannot_be_run_yet_says_what_is_missing(folder: Callable[..., Path]) -> None:
    claim = load_claims([folder(changed(measure="hessian/largest", missing="the Hessian")), conf_dir()])["MINE"]
    assert claim.missing == ("the Hessian",)
