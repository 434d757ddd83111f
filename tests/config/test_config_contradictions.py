"""Every error of a configuration is answered in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bnbench.config import Config, ConfigError, Trial, config_errors, useless_keys

MakeConfig = Callable[[dict[str, Any]], Config]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"training.steps": 10, "training.epochs": 2},
            "training.steps=10 and training.epochs=2 contradict each other; "
            "give one of them and set the others to null",
        ),
        (
            {"training.epochs": 2, "training.examples": 6400},
            "training.epochs=2 and training.examples=6400 contradict each other; "
            "give one of them and set the others to null",
        ),
        (
            {"training.batch_size": 1001},
            "training.batch_size=1001 is more than the 1000 training images of data=mnist_5k; it must be at most 1000",
        ),
        (
            {"data.train_examples": 63},
            "training.batch_size=64 is more than the 63 training images of data.train_examples=63; "
            "it must be at most 63",
        ),
        (
            {"data.train_examples": 1001},
            "data.train_examples=1001 is more than the 1000 training images of data=mnist_5k; it must be at most 1000",
        ),
        (
            {"model.name": "cnn", "model.depth": 0},
            "model.depth=0 leaves model=cnn without a layer; it must be a whole number >= 1",
        ),
        (
            {"model.depth": 0, "model.dropout": 0.5},
            "model.dropout=0.5 has no hidden layer to follow with model.depth=0; set it to 0",
        ),
        ({"model.name": "custom"}, "model=custom needs model.factory=package.module:function; give it"),
        (
            {"training.examples": 63},
            "training.examples=63 is less than one batch; it must be at least training.batch_size=64",
        ),
        (
            {"schedule.name": "warmup"},
            "schedule.warmup_steps=0 is not allowed with schedule=warmup; it must be a whole number >= 1",
        ),
        ({"training.targets": [0.5, 1.5]}, "training.targets has 1.5; a target is an accuracy > 0 and <= 1"),
        (
            {"training.eval_grid": "linear", "training.eval_every": 3, "training.steps": 5000},
            "training.eval_every=3 makes curves of 1,668 points in 5,000 steps; it must be at least 16, for 320 points",
        ),
        (
            {"training.measure_every": 1, "training.steps": 320},
            "training.measure_every=1 makes curves of 321 points in 320 steps; it must be at least 2, for 320 points",
        ),
        ({"training.targets": [0.0]}, "training.targets has 0.0; a target is an accuracy > 0 and <= 1"),
        ({"data.targets": {"fc": [95]}}, "data.targets.fc has 95; a target is an accuracy > 0 and <= 1"),
    ],
)
def test_a_contradiction_is_answered_in_one_line(values: dict[str, Any], line: str, make_config: MakeConfig) -> None:
    config = make_config(values)
    assert config_errors(config, 1000) == [line]
    with pytest.raises(ConfigError) as caught:
        Trial.from_config(config, train_size=1000, data_checksum="")
    assert str(caught.value) == line


@pytest.mark.parametrize(
    "values",
    [
        {"training.batch_size": 1000},
        {"data.train_examples": 64},
        {"data.train_examples": 1000, "training.batch_size": 1000},
        {"model.depth": 0},
        {"training.examples": 64},
        {"training.targets": [1.0]},
        {"training.eval_grid": "linear", "training.eval_every": 2, "training.steps": 638},
        {"training.eval_every": 1},  # has no effect on the geometric grid
        {"training.measure_every": 2, "training.steps": 637},
        {"training.targets": []},
        {"schedule.name": "warmup", "schedule.warmup_steps": 1},
        {"data.targets": {"cnn": [95]}},  # the targets of another model are not checked
    ],
)
def test_a_value_at_its_limit_is_allowed(values: dict[str, Any], make_config: MakeConfig) -> None:
    assert config_errors(make_config(values), 1000) == []


@pytest.mark.parametrize("targets", [{"fc": 0.5}, {"fc": ["high"]}, {"fc": None}, {"fc": "high"}])
def test_default_targets_of_the_wrong_kind_are_answered_in_one_line(
    targets: dict[str, Any], make_config: MakeConfig
) -> None:
    [line] = config_errors(make_config({"data.targets": targets}), 1000)
    assert "data.targets.fc" in line


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"data.path": "a.npz"}, "data.path=a.npz is for data=arrays; data=mnist_5k does not use it"),
        ({"data.image_size": 8}, "data.image_size=8 is for data=folder; data=mnist_5k does not use it"),
        ({"model.factory": "a:b"}, "model.factory=a:b is for model=custom; model=fc does not use it"),
        ({"norm.factory": "a:b"}, "norm.factory=a:b is for norm=custom; norm=none,batch does not use it"),
    ],
)
def test_a_value_that_no_trial_of_a_sweep_uses_is_answered_in_one_line(
    values: dict[str, Any], line: str, make_config: MakeConfig
) -> None:
    norms = ("none", "batch") if "norm.factory" in values else ("none",)
    assert [*useless_keys([make_config(values | {"norm.name": name}) for name in norms])] == [line]


def test_a_factory_that_only_some_trials_of_a_sweep_use_is_no_part_of_the_others(make_config: MakeConfig) -> None:
    """In `norm=batch,custom norm.factory=…` the trials with `norm=batch` ignore the factory; so for models and data."""
    factories = {
        "norm": {"norm.factory": "bnbench.examples.norm:max_norm"},
        "model": {"model.factory": "bnbench.examples.network:residual"},
        "data": {"data.factory": "bnbench.examples.images:stripes"},
    }
    for section, values in factories.items():
        default = make_config({})
        with_factory = [make_config(values), make_config(values | {f"{section}.name": "custom"})]
        assert [*useless_keys(with_factory)] == []
        plain, unused, custom = (
            Trial.from_config(c, train_size=1000, data_checksum="") for c in (default, *with_factory)
        )
        assert plain.key == unused.key != custom.key
        assert f"{section}.factory" in custom.params


@pytest.mark.parametrize("section", ["model", "norm", "optimizer", "schedule"])
def test_a_name_in_no_catalog_is_answered_with_the_names_that_are(section: str) -> None:
    """This holds for a configuration made in Python too, whose values the schema has not checked."""
    part = getattr(Config(), section)
    config = replace(Config(), **{section: replace(part, name="nope")})
    with pytest.raises(ConfigError, match=rf"^{section}=nope is unknown; allowed: .*{part.name}"):
        Trial.from_config(config, train_size=1000, data_checksum="")
