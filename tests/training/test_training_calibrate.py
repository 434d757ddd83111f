"""The width that is measured to be fastest is the one that is."""

import pytest

from bnbench.training import calibrate
from bnbench.training.calibrate import fastest_width


@pytest.mark.parametrize(
    ("seconds", "fastest"),
    [
        ({4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0}, 32),  # wider costs nothing
        ({4: 1.0, 8: 2.0, 16: 4.0, 32: 8.0}, 4),  # nothing is gained
        ({4: 1.0, 8: 1.5, 16: 3.5, 32: 6.5}, 8),
        ({4: 1.0, 8: 1.95, 16: 3.9, 32: 7.8}, 4),  # less than a twentieth
    ],
)
def test_the_fastest_rate_wins_and_ties_go_to_the_narrower(seconds, fastest, trial_of, images_of, monkeypatch):
    monkeypatch.setattr(calibrate, "_step_seconds", lambda trial, data, width: seconds[width])
    assert fastest_width(trial_of(), images_of(1, 4, 4), [4, 8, 16, 32]) == fastest


@pytest.mark.parametrize(
    "overrides",
    [("norm.name=frozen_batch",), ("model.name=cnn", "model.depth=3", "model.width=2", "optimizer.name=adam")],
)
def test_it_is_measured_on_real_steps(overrides, trial_of, images_of, monkeypatch):
    monkeypatch.setattr(calibrate, "_SECONDS", 0.01)
    trial = trial_of(*overrides, "training.batch_size=4")
    assert fastest_width(trial, images_of(1, 8, 8), [2, 4]) in {2, 4}
