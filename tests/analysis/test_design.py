"""How a sweep's table names its levels and finds the strata within which they are compared."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.analysis import Analysis, Design
from bnbench.analysis.design import comparable
from bnbench.record import names

BEFORE = {"norm": "batch", "norm.placement": "before"}
AFTER = {"norm": "batch", "norm.placement": "after"}
LAYER = {"norm": "layer", "norm.placement": "before"}
NONE = {"norm": "none"}


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([NONE, BEFORE, AFTER], ["none", "before", "after"]),
        ([NONE, BEFORE], ["none", "batch"]),
        ([NONE, BEFORE, LAYER], ["none", "batch", "layer"]),
        ([NONE, BEFORE, AFTER, LAYER], ["none", "batch before", "batch after", "layer before"]),
        ([BEFORE], ["batch"]),
        ([NONE], ["none"]),
    ],
)
def test_a_level_is_named_by_what_tells_it_from_the_others(
    table_of: Any, rows: list[dict[str, Any]], labels: list[str]
) -> None:
    assert Design(table_of(rows)).labels.tolist() == labels


def test_a_norm_of_ones_own_has_the_name_of_its_function(table_of: Any) -> None:
    def own(*factories: str) -> list[str]:
        rows = [NONE, BEFORE, *({"norm": "custom", "norm.factory": factory} for factory in factories)]
        return Design(table_of(rows, compare=["norm", "norm.factory"])).labels.tolist()

    assert own("mine:plain", "mine:soft") == ["none", "batch", "plain", "soft"]
    # A name that two share, or that a norm of the catalog has, is told by its module too.
    assert own("mine:plain", "yours:plain") == ["none", "batch", "mine:plain", "yours:plain"]
    assert own("mine:batch", "mine:soft") == ["none", "batch", "mine:batch", "mine:soft"]


def test_other_compared_keys_read_as_they_are_typed(table_of: Any) -> None:
    rows = [{"model.activation": a, "norm.eps": e, "norm": "batch"} for a in ("relu", "tanh") for e in (1e-3, 1e-5)]
    table = table_of(rows, compare=["model.activation", "norm.eps"])
    assert Design(table).labels.tolist()[:2] == [
        "model.activation=relu, norm.eps=0.001",
        "model.activation=relu, norm.eps=1e-05",
    ]


def test_of_several_keys_beside_the_norm_only_what_is_not_usual_is_told(table_of: Any) -> None:
    usual = BEFORE | {"model.bias": "auto", "norm.inference": "running"}
    rows = [
        NONE | {"model.bias": "auto"},
        usual,
        usual | {"model.bias": "always"},
        usual | AFTER,
        usual | {"norm.inference": "initial"},
    ]
    compare = ["norm", "norm.placement", "model.bias", "norm.inference"]
    names = ["none", "before", "before, model.bias=always", "after", "before, norm.inference=initial"]
    assert Design(table_of(rows, compare=compare)).labels.tolist() == names
    one = Design(table_of(rows[:3], compare=["norm", "model.bias"])).labels.tolist()
    assert one == ["none, model.bias=auto", "batch, model.bias=auto", "batch, model.bias=always"]


def test_a_compared_flag_reads_as_it_is_typed(table_of: Any) -> None:
    rows = [{"norm": "batch", "norm.affine": affine} for affine in (True, False)]
    assert Design(table_of(rows, compare=["norm.affine"])).levels == ["norm.affine=true", "norm.affine=false"]


def test_a_compared_word_that_is_all_there_is_to_tell_stands_alone(table_of: Any) -> None:
    rows = [{"norm": "batch", "norm.impl": impl, "norm.eps": 1e-5} for impl in ("native", "manual")]
    assert Design(table_of(rows, compare=["norm.impl"])).levels == ["native", "manual"]
    assert Design(table_of(rows, compare=["norm.eps", "norm.impl"])).levels == ["native", "manual"]


def test_levels_stand_in_the_planned_order_with_none_first(table_of: Any) -> None:
    assert Design(table_of([AFTER, NONE, BEFORE])).levels == ["none", "after", "before"]


def test_strata_are_the_varied_keys_that_follow_from_nothing_else(table_of: Any) -> None:
    rows = [
        {
            "model": model,
            "model.depth": depth,
            "optimizer.lr": lr,
            "training.batch_size": n,
            "training.steps": 640 // n,
        }
        | norm
        for model, depth in (("fc", 3), ("cnn", 19))
        for lr in (0.1, 0.3)
        for n in (8, 64)
        for norm in (NONE, BEFORE | {"norm.momentum": 0.1})
    ]
    varied = [
        "optimizer.lr",
        "training.steps",
        "model.depth",
        "norm.momentum",
        "training.batch_size",
        "model",
        "norm",
    ]
    table = table_of(rows, varied=[*varied, "seed"])
    assert Design(table).strata == ["model", "training.batch_size", "optimizer.lr"]
    assert Design(table).unmatched == []


def test_a_stratum_that_some_trials_do_not_have_is_one_more_value(table_of: Any) -> None:
    rows: list[dict[str, Any]] = [{"model": "fc"} | norm for norm in (NONE, BEFORE)]
    rows += [{"model": "cnn", "model.stride_every": every} | norm for every in (3, 2) for norm in (NONE, BEFORE)]
    table = table_of(rows, varied=["model", "model.stride_every", "norm"])
    # As the tracking store gives it: whole numbers with missing values.
    table.trials["model.stride_every"] = table.trials["model.stride_every"].astype("Int64")
    assert Design(table).strata == ["model", "model.stride_every"]
    found = [one.where for one in Analysis(table).differences]
    assert [where["model"] for where in found] == ["fc", "cnn", "cnn"]
    assert [comparable(where["model.stride_every"]) for where in found] == [None, 2, 3]


def test_a_key_that_moves_with_the_level_is_no_stratum_and_is_named(table_of: Any) -> None:
    table = table_of([{"optimizer.lr": 0.1}, {"optimizer.lr": 0.3} | BEFORE], varied=["norm", "optimizer.lr"])
    assert Design(table).strata == []
    assert Design(table).unmatched == ["optimizer.lr"]


def test_targets_of_all_models_are_found_in_ascending_order(table_of: Any) -> None:
    rows = [{names.reached(0.95): 1.0}, {names.reached(0.9): 0.0, "model": "cnn"}]
    assert Design(table_of(rows)).targets == [0.9, 0.95]


def test_reporting_trials_are_those_that_do_not_tune(table_of: Any) -> None:
    table = table_of([{"seed": 0}, {"seed": 100}], tuning_seeds=[100])
    assert table.reporting["seed"].tolist() == [0]


def test_a_finished_trial_without_test_accuracy_is_refused(table_of: Any) -> None:
    with pytest.raises(ValueError, match="k1 is finished and has no test/acc"):
        table_of([{}, {names.TEST_ACC: float("nan")}])


def test_a_trial_that_stands_twice_is_refused(table_of: Any) -> None:
    with pytest.raises(ValueError, match="same stands more than once"):
        table_of([{"key": "same"}, {"key": "same"}])


def test_an_unknown_status_is_refused(table_of: Any) -> None:
    with pytest.raises(ValueError, match="status 'done' is unknown"):
        table_of([{"status": "done"}])
