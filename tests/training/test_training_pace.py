"""A pack's pace is measured on real steps."""

import pytest

from bnbench.training import pace as calibrate
from bnbench.training.pace import measure_pace


@pytest.mark.parametrize(
    "overrides",
    [("norm.name=frozen_batch",), ("model.name=cnn", "model.depth=3", "model.width=2", "optimizer.name=adam")],
)
def test_it_is_measured_on_real_steps(overrides, trial_of, images_of, monkeypatch):
    monkeypatch.setattr(calibrate, "_SECONDS", 0.01)
    trial = trial_of(*overrides, "training.batch_size=4")
    pace = measure_pace(trial, images_of(1, 8, 8), [2, 4])
    assert [*pace] == [2, 4]
    assert all(0 < seconds < 10 for seconds in pace.values())
