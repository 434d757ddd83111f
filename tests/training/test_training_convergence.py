"""Measures of a validation curve, judged by curves whose answer is known without them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.record import names
from bnbench.training.measures import summarize_curve

CURVE = [(0, 0.1), (1, 0.2), (4, 0.55), (9, 0.5), (20, 0.8), (30, 0.8)]


def summary(curve=CURVE, targets=(0.5, 0.8), batch_size=8, **kwargs):
    return summarize_curve(curve, targets=targets, batch_size=batch_size, **kwargs)


def test_a_target_is_hit_at_the_first_evaluation_at_or_above_it():
    metrics = summary()
    assert metrics[names.steps_to(0.5)] == 4
    assert metrics[names.steps_to(0.8)] == 20, "an accuracy equal to the target reaches it"
    assert metrics[names.reached(0.5)] == metrics[names.reached(0.8)] == 1


def test_examples_to_a_target_are_steps_times_batch_size():
    metrics = summary(batch_size=8)
    assert metrics[names.examples_to(0.5)] == 32
    assert metrics[names.examples_to(0.8)] == 160


def test_a_target_met_before_training_takes_no_steps():
    metrics = summary(targets=[0.05])
    assert metrics[names.steps_to(0.05)] == metrics[names.examples_to(0.05)] == 0
    assert metrics[names.reached(0.05)] == 1


def test_a_target_that_is_not_reached_has_no_steps():
    metrics = summary(targets=[0.5, 0.9])
    assert (metrics[names.reached(0.5)], metrics[names.reached(0.9)]) == (1, 0)
    assert names.steps_to(0.5) in metrics
    assert not {names.steps_to(0.9), names.examples_to(0.9)} & {*metrics}


@pytest.mark.parametrize("curve", [[(0, 0.1), (1, 0.3)], []], ids=["after an evaluation", "before any"])
def test_a_trial_that_diverged_missed_the_target_and_has_no_best_point_and_no_area(curve):
    assert summary(curve, targets=[0.9], diverged=True) == {names.reached(0.9): 0}


def test_the_best_accuracy_is_dated_by_its_first_occurrence():
    metrics = summary()
    assert metrics[names.ACC_BEST] == 0.8
    assert metrics[names.ACC_BEST_STEP] == 20


def test_the_area_is_the_mean_over_steps_whatever_the_grid():
    ramp = lambda grid: [(step, step / 100) for step in grid]  # noqa: E731
    for grid in ([0, 100], [0, 1, 2, 3, 50, 51, 100], range(101)):
        assert summary(ramp(grid))[names.ACC_CURVE_AREA] == pytest.approx(0.5, rel=1e-12)
    # 10 steps at 0, a rise over 20 steps, 70 steps at 1
    step = [(0, 0.0), (10, 0.0), (30, 1.0), (100, 1.0)]
    assert summary(step)[names.ACC_CURVE_AREA] == pytest.approx(0.8, rel=1e-12)


def test_no_targets_give_no_steps():
    assert set(summary(targets=[])) == {names.ACC_BEST, names.ACC_BEST_STEP, names.ACC_CURVE_AREA}


curves = st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=12).map(
    lambda points: [(0, 0.1), *((step, acc) for step, acc in sorted(dict(points).items()))]
)


@given(curve=curves, low=st.floats(0.01, 1), high=st.floats(0.01, 1))
def test_a_higher_target_never_comes_sooner(curve, low, high):
    low, high = sorted([low, high])
    metrics = summary(curve, targets=[low]) | summary(curve, targets=[high])
    assert metrics[names.reached(low)] >= metrics[names.reached(high)]
    if metrics[names.reached(high)]:
        assert metrics[names.steps_to(low)] <= metrics[names.steps_to(high)] <= 40


@given(curve=curves)
def test_the_area_lies_between_the_worst_and_the_best_accuracy(curve):
    metrics = summary(curve)
    accs = [acc for _, acc in curve]
    slack = 1e-12  # rounding of the sum
    assert min(accs) - slack <= metrics[names.ACC_CURVE_AREA] <= metrics[names.ACC_BEST] + slack
    assert metrics[names.ACC_BEST] == max(accs)


@pytest.mark.parametrize("key", summary())
def test_every_measure_has_a_meaning(key):
    assert names.metric(key).meaning
