"""A recorded trial becomes the configuration that gives it again, or is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bnbench.config import ConfigError, Trial
from bnbench.data import DATASETS
from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.sweep.planning.rebuild import rebuild

_RECORD = SweepRecord(Asked("a", "1", config={"data": {"root": None, "download": True}}))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"norm.name": "batch", "norm.preset": "tensorflow", "norm.inference": "precise", "norm.placement": "after"},
        {"norm.name": "ghost_batch", "norm.ghost_size": 8, "norm.weight_standardization": True},
        {"norm.name": "online", "norm.decay_forward": 0.1 + 0.2},
        {"model.name": "cnn", "model.init": "normal", "model.head_init": "orthogonal", "model.head_sd": 0.3},
        {"optimizer.name": "adamw", "optimizer.lr_scaling": "sqrt", "optimizer.lr": 1 / 3, "training.batch_size": 8},
        {"schedule.name": "step", "schedule.warmup_steps": 3, "training.epochs": 2},
        {
            "training.examples": 640,
            "training.eval_grid": "linear",
            "training.eval_every": 7,
            "training.loss": "sigmoid",
        },
        {"training.measures": ["effective_lr", "gradients"]},
        {"training.eval_examples": 200, "training.precision": "float64", "data.split": "by_seed", "seed": 12},
    ],
    ids=str,
)
def test_a_trial_is_rebuilt_from_the_params_that_its_run_has(
    values: dict[str, Any], make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial({**values, "training.targets": [0.5, 0.95]})
    params = json.loads(json.dumps(trial.params))
    metrics = {names.reached(0.95): 0.0, names.steps_to(0.95): 9.0, names.reached(0.5): 1.0, names.TEST_ACC: 0.5}
    config = rebuild(TrialResult(trial.key, params, "finished", metrics=metrics), _RECORD)
    again = Trial.from_config(config, train_size=DATASETS[config.data.name].train, data_checksum=trial.data_checksum)
    assert (again.key, again.params, again.targets) == (trial.key, trial.params, trial.targets)


def test_the_place_of_the_images_is_the_sweep_s_or_the_one_that_is_given(make_trial: Callable[..., Trial]) -> None:
    result = TrialResult("k", make_trial({}).params, "finished")
    record = SweepRecord(Asked("there", "1", config={"data": {"root": "/there", "download": False}}))
    assert (rebuild(result, record).data.root, rebuild(result, record).data.download) == ("/there", False)
    assert rebuild(result, record, root="/here").data.root == "/here"


@pytest.mark.parametrize("other", [{"norm": "dyt"}, {"data": "svhn"}, {"norm.temperature": 1.0}])
def test_a_trial_of_another_bnbench_is_refused_in_one_line(
    other: dict[str, Any], make_trial: Callable[..., Trial]
) -> None:
    [(key, value)] = other.items()
    with pytest.raises(ConfigError, match=rf"^trial k .*{key}.*{value}.*$"):
        rebuild(TrialResult("k", make_trial({}).params | other, "finished"), _RECORD)
