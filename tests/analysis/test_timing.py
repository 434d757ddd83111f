"""Seconds per step: ratios whose truth is known, within the settings that a step's time depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bnbench.analysis import Analysis
from bnbench.analysis.timing import seconds_ratio, step_seconds
from bnbench.record.sweep_record import FoundOut, TimedArm, TimingRecord
from bnbench.record.sweep_table import SweepTable

_MODELS = {"fc": 1e-3, "cnn": 9e-3}
_SLOWER = {"none": 1.0, "batch": 1.5}


@pytest.fixture
def timed(table_of: Callable[..., SweepTable]) -> SweepTable:
    """Norms half as slow again on both models; both learning rates of an arm timed as one; rounds that drift."""
    rows = [
        {"model": model, "norm": norm, "optimizer.lr": lr, "seed": seed}
        for model, norm, lr, seed in product(_MODELS, _SLOWER, (0.1, 0.3), (0, 1))
    ]
    table = table_of(rows, varied=["model", "norm", "optimizer.lr", "seed"], compare=["norm"])
    drift = np.geomspace(1, 3, 6)
    noise = np.random.default_rng(0)
    arms = []
    for (model, norm), trials in table.trials.groupby(["model", "norm"], sort=False):
        seconds = _MODELS[model] * _SLOWER[norm] * drift * np.exp(0.01 * noise.standard_normal(6))
        arms.append(TimedArm(f"{model} {norm}", "", seconds.tolist(), trials["key"].tolist()))
    return _with_timing(table, TimingRecord("timed", arms))


def test_a_ratio_is_the_geometric_mean_of_the_rounds_ratios() -> None:
    found = seconds_ratio([1.0, 8.0, 2.0], [1.0, 2.0, 4.0])  # 1, 4, 1/2
    assert found.mean == pytest.approx(2 ** (1 / 3))
    assert found.low is not None
    assert found.high is not None
    assert found.low * found.high == pytest.approx(found.mean**2)
    turned = seconds_ratio([1.0, 2.0, 4.0], [1.0, 8.0, 2.0])
    assert turned.low == pytest.approx(1 / found.high)


def test_the_interval_of_a_ratio_covers_as_often_as_it_says() -> None:
    noise = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        slow = np.exp(noise.standard_normal(10))  # a round's own, which hits both
        a, b = (slow * rate * np.exp(0.1 * noise.standard_normal(10)) for rate in (1.3, 1.0))
        found = seconds_ratio(a, b)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1.3 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_levels_are_compared_within_what_a_step_depends_on_and_drift_cancels(timed: SweepTable) -> None:
    analysis = Analysis(timed)
    assert [(one.where, one.a, one.b, one.ratio.n) for one in analysis.timed_ratios] == [
        ({"model": "fc"}, "batch", "none", 6),
        ({"model": "cnn"}, "batch", "none", 6),
    ]
    for _, ratio, low, high in (one.ratio for one in analysis.timed_ratios):
        assert ratio == pytest.approx(1.5, rel=0.02)
        assert low is not None
        assert high is not None
        assert high / low < 1.05
    assert [one.level for one in analysis.timed_levels] == ["none", "batch"] * 2
    assert [one.seconds.mean for one in analysis.timed_levels] == pytest.approx(
        [np.sqrt(3) * t * s for t in _MODELS.values() for s in (1, 1.5)], 0.02
    )


def test_every_trial_of_an_arm_has_what_was_timed_once(timed: SweepTable) -> None:
    known = step_seconds(timed)
    assert known.keys() == set(timed.trials["key"])
    first, second = (timed.trials["key"][timed.trials["seed"] == seed].iloc[0] for seed in (0, 1))
    assert (known[first] == known[second]).all()


def test_what_was_not_timed_is_left_out(timed: SweepTable) -> None:
    timing = timed.record.found_out.timing
    assert timing is not None
    some = _with_timing(timed, replace(timing, arms=timing.arms[:3]))
    assert [one.where["model"] for one in Analysis(some).timed_ratios] == ["fc"]
    untimed = _with_timing(timed, None)
    assert step_seconds(untimed) == {}
    assert Analysis(untimed).timed_levels == []
    assert Analysis(untimed).timed_ratios == []


def _with_timing(table: SweepTable, timing: TimingRecord | None) -> SweepTable:
    return replace(table, record=replace(table.record, found_out=FoundOut(timing=timing)))
