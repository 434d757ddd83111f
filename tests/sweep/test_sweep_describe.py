"""What the terminal says of a sweep before it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from bnbench.config import Config, Trial
from bnbench.packing.partition import partition
from bnbench.sweep.planning.describe import (
    arm_keys,
    arm_label,
    describe_plan,
    describe_question,
    duration,
    varied_keys,
)
from bnbench.sweep.planning.estimate import training_seconds
from bnbench.sweep.planning.plan import Plan

if TYPE_CHECKING:
    from conftest import CountingSweep

MakeTrial = Callable[[dict[str, Any]], Trial]
MakePlan = Callable[..., Plan]


def test_the_question_and_the_data_come_first(make_config: Callable[[dict[str, Any]], Config]) -> None:
    config = make_config({"sweep.question": "Before or after?", "data.name": "digits"})
    assert describe_question("placement", config).splitlines() == [
        "placement: Before or after?",
        "data: digits, 1,257 / 180 / 360 train / validation / test images",
    ]
    assert describe_question("trial", make_config({})).splitlines()[0] == "trial"


def test_curves_on_fewer_validation_images_than_decide_are_told_of(
    make_config: Callable[[dict[str, Any]], Config], plan: MakePlan
) -> None:
    def told(*examples: int | None) -> str:
        configs = [make_config({"training.eval_examples": one, "training.steps": 20}) for one in examples]
        return describe_plan(plan([(config, [], {}) for config in configs]), [], 1)

    assert "all 500 images after the last step" in told(70, None)
    assert "; 70 to 100 along the curve" in told(70, None)
    assert "; 70 along the curve" in told(70)
    assert "along the curve" not in told(500), "where all decide there is nothing to tell"


def test_a_plan_of_more_than_an_hour_says_what_would_make_it_shorter(
    make_config: Callable[[dict[str, Any]], Config], plan: MakePlan
) -> None:
    def last(steps: int) -> str:
        points = [
            {"training.steps": steps, "optimizer.lr": lr, "seed": seed, "training.max_pack": 1}
            for lr in (0.1, 0.2, 0.4)
            for seed in range(6)
        ]
        return describe_plan(plan([(make_config(point), [], {}) for point in points]), ["optimizer.lr"], 1)

    assert "to make it shorter" not in last(20)
    line = last(1_000_000).splitlines()[-1]
    assert line.startswith("to make it shorter: training.steps=200000 takes about ")
    assert "'seed=range(3)' about " in line
    assert line.endswith("fewer of the 3 values of optimizer.lr")


def test_varied_keys_are_the_axes_with_two_values(make_trial: MakeTrial) -> None:
    trials = [
        make_trial({"norm.name": "none"}),
        *(make_trial({"norm.name": "batch", "norm.placement": place, "seed": 1}) for place in ("before", "after")),
    ]
    assert varied_keys(trials, ["seed", "norm", "norm.placement", "model"]) == [
        "seed",
        "norm",
        "norm.placement",
    ]
    assert varied_keys(trials[:2], ["norm"]) == ["norm"]


def test_an_axis_that_spells_other_keys_varies_the_first_of_them(make_trial: MakeTrial) -> None:
    trials = [make_trial({"norm.name": "batch", "norm.preset": preset}) for preset in ("torch", "tensorflow")]
    assert varied_keys(trials, ["norm.preset"]) == ["norm.momentum"]


def test_an_arm_s_label_leaves_out_the_seed_and_what_follows_from_the_rest(make_trial: MakeTrial) -> None:
    trials = [
        make_trial({"model.name": model, "optimizer.name": optimizer, "optimizer.lr": lr, "seed": seed})
        for model, optimizer, lrs in (("fc", "sgd", (0.05, 0.2)), ("cnn", "adam", (0.001,)))
        for lr in lrs
        for seed in (0, 1)
    ]
    keys = arm_keys(trials, varied_keys(trials, ["model", "optimizer", "optimizer.lr", "seed"]))
    assert keys == ["model", "optimizer.lr"]
    labels = dict.fromkeys(arm_label(trial, keys) for trial in trials)
    assert [*labels] == ["fc  lr=0.05", "fc  lr=0.2", "cnn  lr=0.001"]


def test_the_plan_counts_by_arm_what_is_undefined_and_what_is_finished(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points({"norm": "none,batch", "training.batch_size": "1,8", "seed": "0,1,1"}, ["model=fc"])
    keys = [p.trial.key for p in plan(points).planned]
    done = plan(points, finished=keys[:1])
    axes = ["norm", "training.batch_size", "seed"]
    header, *rows, validation, total = describe_plan(done, axes, 2).splitlines()
    assert header.split() == ["arm", "trials", "undefined", "finished", "about"]
    assert validation.startswith("validation on mnist_5k: all 500")
    cells = [row.split()[:5] for row in rows]
    assert cells == [
        ["none", "batch_size=1", "2", "-", "1"],
        ["none", "batch_size=8", "2", "-", "-"],
        ["batch", "batch_size=1", "2", "2", "-"],
        ["batch", "batch_size=8", "2", "-", "-"],
    ]
    assert "8 trials (4 duplicates dropped, 1 finished before, 2 undefined) in 3 packs on 2 workers, about" in total


def test_one_trial_is_not_called_trials(sweep: CountingSweep, plan: MakePlan) -> None:
    assert "1 trial (0 duplicates dropped" in describe_plan(plan(sweep.points({})), [], 1)


def test_many_arms_are_cut_short(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points({"model.width": "range(1,51)"})
    lines = describe_plan(plan(points), ["model.width"], 1).splitlines()
    assert lines[-2] == "… and 10 more arms"
    assert len(lines) == 1 + 40 + 1 + 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "1.5 min"),
        (5399, "90.0 min"),
        (5400, "1.5 h"),
        (36000, "10.0 h"),
    ],
)
def test_a_time_is_told_in_a_unit_that_fits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# The estimate: rough, but it must move the right way.


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"training.steps": 100}, {"training.steps": 1000}),
        ({"model.depth": 2}, {"model.depth": 8}),
        ({"model.width": 10}, {"model.width": 1000}),
        ({"training.batch_size": 8}, {"training.batch_size": 512}),
        ({"norm.name": "none"}, {"norm.name": "batch"}),
        ({"data.name": "digits"}, {"data.name": "cifar10"}),
        ({"model.name": "fc"}, {"model.name": "cnn", "model.depth": 19, "model.width": 4}),
    ],
)
def test_more_work_is_estimated_to_take_longer(
    less: dict[str, Any], more: dict[str, Any], make_trial: MakeTrial
) -> None:
    assert 0 < training_seconds([make_trial(less)]) < training_seconds([make_trial(more)])


def test_what_was_measured_of_a_step_is_what_the_estimate_stands_on(make_trial: MakeTrial) -> None:
    trials = [make_trial({"training.steps": 10_000, "training.engine": "torch", "seed": seed}) for seed in range(8)]
    slow, fast = (training_seconds(trials, {8: seconds}) for seconds in (0.02, 0.01))
    assert 100 < fast < 150  # evaluation is a fifth of it
    assert 200 < slow < 300


@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_a_pack_is_estimated_to_take_less_than_its_trials_alone(model: str, make_trial: MakeTrial) -> None:
    trials = [make_trial({"model.name": model, "model.width": 4, "seed": seed}) for seed in range(8)]
    [pack] = partition(trials)
    alone = sum(training_seconds([trial]) for trial in trials)
    assert training_seconds(trials[:1]) <= training_seconds(pack) < alone
