"""A small sample covers a sweep, and is the same each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnbench.config import Trial
from bnbench.record.results import Recorded, TrialResult
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.sweep.again.sample import choose


@pytest.fixture(scope="module")
def recorded(make_trial: Callable[..., Trial]) -> list[Recorded]:
    """Two models, a short and a long one, with three norms, two rates, three seeds and one that tunes."""
    norms = [{"norm.name": "none"}, {"norm.name": "batch"}, {"norm.name": "batch", "norm.placement": "after"}]
    models = [{"model.name": "cnn", "model.depth": 7, "training.steps": 5000}, {"training.steps": 100}]
    trials = [
        make_trial({**model, **norm, "optimizer.lr": lr, "seed": seed})
        for model in models
        for norm in norms
        for lr in (0.1, 0.5)
        for seed in (0, 1, 2, 100)
    ]
    return [
        Recorded(TrialResult(t.key, t.params, "diverged" if i == 40 else "finished"), _ORIGIN, t.seed == 100)
        for i, t in enumerate(trials)
    ]


_ORIGIN = SweepRecord(Asked("digits", "1", config={"data": {"root": None, "download": False}}))
_VARIED = ["seed", "model", "norm", "norm.placement", "optimizer.lr"]


def test_four_trials_cover_what_varies_and_the_long_model_is_trained_once(recorded: list[Recorded]) -> None:
    chosen = choose(recorded, _VARIED, 4)
    params = [r.result.params for r in chosen]
    for key in ("model", "norm", "optimizer.lr"):
        assert {p[key] for p in params} == {r.result.params[key] for r in recorded}
    assert {p.get("norm.placement") for p in params} == {None, "before", "after"}
    assert {r.tuning for r in chosen} == {False, True}
    assert {r.result.status for r in chosen} == {"finished", "diverged"}
    assert [p["model"] for p in params].count("cnn") == 1


def test_the_same_trials_are_chosen_each_time_and_a_larger_sample_adds_to_a_smaller(recorded: list[Recorded]) -> None:
    chosen = choose(recorded, _VARIED, 12)
    assert [r.result.key for r in choose(recorded, _VARIED, 5)] == [r.result.key for r in chosen[:5]]
    assert len({r.result.key for r in chosen}) == 12
    shapes = {(p["model"], p["norm"], p.get("norm.placement")) for p in (r.result.params for r in chosen)}
    assert len(shapes) == 6, "every kind of pack"


@pytest.mark.parametrize("number", [48, 1000])
def test_a_sample_as_large_as_the_sweep_is_the_sweep(recorded: list[Recorded], number: int) -> None:
    assert choose(recorded, _VARIED, number) == recorded


def test_trials_of_own_data_are_chosen_from_where_their_sweep_found_the_images(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, images=np.resize(np.arange(256, dtype=np.uint8), (120, 4, 4)), labels=np.arange(120) % 3)
    trials = [make_trial({"data.name": "arrays", "data.path": str(path), "seed": seed}) for seed in (0, 1)]
    data = {**_ORIGIN.asked.config["data"], "path": str(path)}
    origin = SweepRecord(Asked("mine", "1", config={"data": data}))
    results = [Recorded(TrialResult(trial.key, trial.params, "finished"), origin, False) for trial in trials]
    assert choose(results, ["seed"], 1) == results[:1]
