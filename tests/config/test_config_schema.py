"""The schema: every number has its interval, every choice its words, and a configuration cannot be changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from enum import StrEnum
from typing import Any

import pytest
from omegaconf import OmegaConf

from bnbench import config as config_package
from bnbench.config import Config, ConfigError, config_errors, schema
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.config.schedule_catalog import SCHEDULES

MakeConfig = Callable[[dict[str, Any]], Config]

# For each number: the bounds as an error tells them, values outside and values inside. They are written out here
# because the schema cannot judge its own bounds.
_WHOLE_FROM_1 = ("a whole number >= 1", (0, -1), (1, 2, 1000))
_WHOLE_FROM_0 = ("a whole number >= 0", (-1, -5), (0, 1, 7))
_POSITIVE = ("a finite number > 0", (0.0, -1e-9, math.nan, math.inf, -math.inf), (1e-12, 1.0, 1e6))
_FRACTION = ("a finite number >= 0 and <= 1", (-1e-9, 1.0001, math.nan, math.inf), (0.0, 0.5, 1.0))
_NUMBERS = {
    "seed": _WHOLE_FROM_0,
    "data.image_size": _WHOLE_FROM_1,
    "data.train_examples": _WHOLE_FROM_1,
    "model.depth": _WHOLE_FROM_0,
    "model.dropout": ("a finite number >= 0 and < 1", (-0.1, 1.0, math.nan, math.inf), (0.0, 0.5, 0.999)),
    "model.width": _WHOLE_FROM_1,
    "model.stride_every": _WHOLE_FROM_1,
    "model.min_map": _WHOLE_FROM_1,
    "model.hidden": _WHOLE_FROM_0,
    "model.init_gain": _POSITIVE,
    "model.init_sd": _POSITIVE,
    "model.head_gain": _POSITIVE,
    "model.head_sd": _POSITIVE,
    "norm.momentum": _FRACTION,
    "norm.eps": _POSITIVE,
    "norm.groups": _WHOLE_FROM_1,
    "norm.ghost_size": _WHOLE_FROM_1,
    "norm.r_max": ("a finite number >= 1", (0.99, math.nan, math.inf), (1.0, 3.0)),
    "norm.d_max": ("a finite number >= 0", (-0.1, math.nan, math.inf), (0.0, 5.0)),
    "norm.renorm_warmup_steps": _WHOLE_FROM_0,
    "norm.noise_shift": ("a finite number >= 0", (-0.1, math.nan, math.inf), (0.0, 0.5)),
    "norm.noise_scale": ("a finite number >= 1", (0.99, math.nan, math.inf), (1.0, 1.25)),
    "norm.decay_forward": _FRACTION,
    "norm.decay_backward": _FRACTION,
    "optimizer.lr": _POSITIVE,
    "optimizer.momentum": _FRACTION,
    "optimizer.beta1": _FRACTION,
    "optimizer.beta2": _FRACTION,
    "optimizer.eps": _POSITIVE,
    "optimizer.weight_decay": ("a finite number >= 0", (-0.1, math.nan, math.inf), (0.0, 0.1, 2.0)),
    "optimizer.lr_reference_batch_size": _WHOLE_FROM_1,
    "schedule.warmup_steps": _WHOLE_FROM_0,
    "schedule.final_factor": _FRACTION,
    "schedule.every_steps": _WHOLE_FROM_1,
    "schedule.step_factor": _FRACTION,
    "training.batch_size": _WHOLE_FROM_1,
    "training.steps": _WHOLE_FROM_1,
    "training.epochs": _WHOLE_FROM_1,
    "training.examples": _WHOLE_FROM_1,
    "training.eval_every": _WHOLE_FROM_1,
    "training.measure_every": _WHOLE_FROM_1,
    "training.eval_examples": _WHOLE_FROM_1,
    "training.checkpoint_every": _WHOLE_FROM_1,
    "training.max_pack": _WHOLE_FROM_1,
    "training.max_memory": _POSITIVE,
    "sweep.max_seeds": ("a whole number >= 10", (0, 9), (10, 64)),
    "sweep.max_minutes": _POSITIVE,
    "sweep.margin_pp": ("a finite number > 0 and <= 100", (0.0, -1.0, 100.5, math.nan), (0.1, 100.0)),
}
_USED_BY = {"data.image_size": {"data.name": "folder"}, "training.measure_every": {"training.steps": 10}}
_BAD = [(key, value) for key, (_, bad, _) in _NUMBERS.items() for value in bad]
_GOOD = [(key, value) for key, (_, _, good) in _NUMBERS.items() for value in good]


def _sections(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for f in fields(section):
        value = getattr(section, f.name)
        if is_dataclass(value):
            yield from _sections(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", f


def test_every_number_of_the_schema_is_tested_here() -> None:
    numbers = {key for key, f in _sections(Config()) if str(f.type).split(" ")[0] in {"int", "float"}}
    assert numbers == _NUMBERS.keys()


@pytest.mark.parametrize(("key", "value"), _BAD)
def test_a_number_out_of_range_is_answered_with_key_value_and_bounds(
    key: str, value: float, make_config: MakeConfig
) -> None:
    values = {"training.batch_size": 1, **_USED_BY.get(key, {}), key: value}
    [line] = config_errors(make_config(values), 10**6)
    assert line == f"{key}={value} is not allowed; it must be {_NUMBERS[key][0]}"


@pytest.mark.parametrize(("key", "value"), _GOOD)
def test_a_number_in_range_is_accepted(key: str, value: float, make_config: MakeConfig) -> None:
    values = {"training.batch_size": 1, **_USED_BY.get(key, {}), key: value}
    assert config_errors(make_config(values), 10**6) == []


def test_every_wrong_number_has_its_line(make_config: MakeConfig) -> None:
    config = make_config({"optimizer.lr": math.nan, "norm.eps": 0.0, "training.batch_size": 0})
    keys = [line.partition("=")[0] for line in config_errors(config, 1000)]
    assert keys == ["norm.eps", "optimizer.lr", "training.batch_size"]


def test_the_defaults_are_right() -> None:
    assert config_errors(Config(), 3500) == []


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("data.split", "fixed, by_seed"),
        ("data.scaling", "unit, symmetric, standard, raw, binary"),
        ("model.activation", "relu, leaky_relu, elu, gelu, silu, softplus, sigmoid, tanh, identity"),
        ("model.bias", "auto, always, never"),
        ("norm.placement", "before, after"),
        ("norm.single_value", "error, constant"),
        ("norm.logits", "none, plain, affine"),
        ("model.padding", "torch, same"),
        ("norm.averaging", "exponential, cumulative"),
        ("norm.running_var", "unbiased, biased, fused"),
        ("optimizer.name", ", ".join(OPTIMIZERS)),
        ("optimizer.lr_scaling", "none, linear, sqrt"),
        ("schedule.name", ", ".join(SCHEDULES)),
        ("training.loss", "softmax, sigmoid"),
        ("training.eval_grid", "geometric, linear"),
        ("training.precision", "float32, float64"),
    ],
)
def test_a_wrong_choice_is_answered_with_key_value_and_the_choices(
    key: str, allowed: str, make_config: MakeConfig
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({key: "sideways"})
    [line] = str(caught.value).splitlines()
    assert key in line
    assert "sideways" in line
    assert f"[{allowed}]" in line
    for choice in allowed.split(", "):
        make_config({key: choice})


def test_choices_are_lower_case_words_equal_to_their_values() -> None:
    kinds = [kind for kind in vars(config_package).values() if isinstance(kind, type) and issubclass(kind, StrEnum)]
    assert len(kinds) >= 10
    for kind in kinds:
        assert [member.name for member in kind] == [member.value for member in kind]
        assert all(member.value == member.value.lower() for member in kind)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"optimizer.lr": "fast"}, ["optimizer.lr", "fast", "Float"]),
        ({"training.steps": 1.5}, ["training.steps", "1.5", "Integer"]),
        ({"norm.affine": "perhaps"}, ["norm.affine", "perhaps", "bool"]),
        (
            {"training.batch_size": [1, 8]},
            ["training.batch_size=[1, 8]", "one value", "training.batch_size=a,b"],
        ),
        ({"training.targets": ["x"]}, ["training.targets", "x", "Float"]),
        ({"training.measures": ["gradient"]}, ["training.measures", "'gradient'", "gradients, activations"]),
        ({"optimizer.rate": 1}, ["optimizer.rate", "'rate'"]),
        ({"optimzer.lr": 1}, ["optimzer"]),
    ],
)
def test_a_value_of_the_wrong_type_or_key_is_answered_in_one_line(
    values: dict[str, Any], parts: list[str], make_config: MakeConfig
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(values)
    [line] = str(caught.value).splitlines()
    assert [part for part in parts if part not in line] == []
    assert "object_type" not in line, "OmegaConf's own notes are for programmers"


@pytest.mark.parametrize("path", [[], ["norm"], ["training"], ["data"], ["sweep"], ["tracking"]])
def test_a_configuration_cannot_be_changed(path: list[str]) -> None:
    section: Any = Config()
    for name in path:
        section = getattr(section, name)
    with pytest.raises(FrozenInstanceError):
        setattr(section, fields(section)[0].name, 1)


def test_a_typed_value_arrives_as_its_type(make_config: MakeConfig) -> None:
    config = make_config({"optimizer.lr": 1, "norm.placement": "after", "training.targets": [1, 0.5]})
    assert isinstance(config.optimizer.lr, float)
    assert config.norm.placement is config_package.Placement.after
    assert config.training.targets == [1.0, 0.5]


def test_two_schemas_are_two_nodes() -> None:
    changed, untouched = schema(), schema()
    changed.seed = 5
    assert untouched.seed == 0
    assert isinstance(OmegaConf.to_object(untouched), Config)
