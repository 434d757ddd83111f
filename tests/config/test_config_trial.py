"""A trial: what contradicts, what matters, which two are the same training, and which may share a pack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.config import Config, ConfigError, Trial, config_errors
from bnbench.config.trial import DEFAULT_STEPS, VARIES_IN_PACK, flatten
from bnbench.norms import NORMS

MakeConfig = Callable[[dict[str, Any]], Config]
MakeTrial = Callable[..., Trial]


# What contradicts.


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
        ({"data.path": "a.npz"}, "data.path=a.npz is for data=arrays; data=mnist_5k does not use it"),
        ({"data.image_size": 8}, "data.image_size=8 is for data=folder; data=mnist_5k does not use it"),
        ({"model.factory": "a:b"}, "model.factory=a:b is for model=custom; model=fc does not use it"),
        ({"norm.factory": "a:b"}, "norm.factory=a:b is for norm=custom; norm=none does not use it"),
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
        {"training.targets": []},
        {"schedule.name": "warmup", "schedule.warmup_steps": 1},
        {"data.targets": {"cnn": [95]}},  # another model's
    ],
)
def test_what_only_touches_a_limit_is_allowed(values: dict[str, Any], make_config: MakeConfig) -> None:
    assert config_errors(make_config(values), 1000) == []


@pytest.mark.parametrize("targets", [{"fc": 0.5}, {"fc": ["high"]}, {"fc": None}, {"fc": "high"}])
def test_default_targets_of_the_wrong_kind_are_answered_in_one_line(
    targets: dict[str, Any], make_config: MakeConfig
) -> None:
    [line] = config_errors(make_config({"data.targets": targets}), 1000)
    assert "data.targets.fc" in line


# What follows from a configuration.


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ({}, DEFAULT_STEPS),
        ({"training.steps": 7}, 7),
        ({"training.epochs": 2}, 2 * 15),  # 1000 images are 15 whole batches of 64; the last part is dropped
        ({"training.examples": 640}, 10),
        ({"training.examples": 703}, 10),
        ({"training.epochs": 3, "training.batch_size": 1}, 3000),
        ({"training.epochs": 3, "data.train_examples": 200}, 3 * 3),
    ],
)
def test_the_budget_becomes_steps(values: dict[str, Any], steps: int, make_trial: MakeTrial) -> None:
    trial = make_trial(values)
    assert trial.steps == steps
    assert trial.params["training.steps"] == steps


@pytest.mark.parametrize(("scaling", "lr"), [("none", 0.8), ("linear", 0.2), ("sqrt", 0.4)])
def test_the_learning_rate_is_scaled_from_the_reference_batch_size(
    scaling: str, lr: float, make_trial: MakeTrial
) -> None:
    values = {"optimizer.lr": 0.8, "optimizer.lr_scaling": scaling, "training.batch_size": 16}
    assert make_trial(values).lr == pytest.approx(lr)
    values |= {"optimizer.lr_reference_batch_size": 16}
    assert make_trial(values).lr == 0.8


def test_targets_are_the_data_set_s_for_this_model_unless_given(make_trial: MakeTrial) -> None:
    defaults = {"data.targets": {"fc": [0.9, 0.8], "cnn": [0.5]}}
    assert make_trial(defaults).targets == (0.8, 0.9)
    assert make_trial(defaults | {"model.name": "cnn"}).targets == (0.5,)
    assert make_trial(defaults | {"training.targets": [0.7, 0.3]}).targets == (0.3, 0.7)
    assert make_trial(defaults | {"training.targets": []}).targets == ()
    assert make_trial({}).targets == ()


# What matters to a trial. Each row: what the key needs to matter, the key, and where it does not matter.

_NEEDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("norm.placement", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.momentum", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.eps", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.affine", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.logits", {"norm.name": "layer"}, {"norm.name": "none"}),
    ("norm.single_value", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.momentum", {"norm.name": "ghost_batch"}, {"norm.name": "layer"}),
    ("norm.averaging", {"norm.name": "batch"}, {"norm.name": "group"}),
    ("norm.running_var", {"norm.name": "batch_renorm"}, {"norm.name": "rms"}),
    ("norm.groups", {"norm.name": "group"}, {"norm.name": "layer"}),
    ("norm.ghost_size", {"norm.name": "ghost_batch"}, {"norm.name": "batch"}),
    ("norm.r_max", {"norm.name": "batch_renorm"}, {"norm.name": "batch"}),
    ("norm.d_max", {"norm.name": "batch_renorm"}, {"norm.name": "ghost_batch"}),
    ("norm.renorm_warmup_steps", {"norm.name": "batch_renorm"}, {"norm.name": "instance"}),
    ("norm.impl", {"norm.name": "batch"}, {"norm.name": "ghost_batch"}),
    ("norm.inference", {"norm.name": "noisy_batch"}, {"norm.name": "frozen_batch"}),
    ("norm.noise_shift", {"norm.name": "noisy_batch"}, {"norm.name": "batch"}),
    ("norm.noise_scale", {"norm.name": "noisy_batch"}, {"norm.name": "online"}),
    ("norm.decay_forward", {"norm.name": "online"}, {"norm.name": "batch"}),
    ("norm.decay_backward", {"norm.name": "online"}, {"norm.name": "none"}),
    ("optimizer.momentum", {"optimizer.name": "momentum"}, {"optimizer.name": "adam"}),
    ("optimizer.momentum", {"optimizer.name": "momentum"}, {"optimizer.name": "sgd"}),
    ("optimizer.nesterov", {"optimizer.name": "momentum"}, {"optimizer.name": "adamw"}),
    ("optimizer.beta1", {"optimizer.name": "adam"}, {"optimizer.name": "momentum"}),
    ("optimizer.beta2", {"optimizer.name": "adamw"}, {"optimizer.name": "sgd"}),
    ("optimizer.eps", {"optimizer.name": "adam"}, {"optimizer.name": "sgd"}),
    ("optimizer.lr_reference_batch_size", {"optimizer.lr_scaling": "sqrt"}, {"optimizer.lr_scaling": "none"}),
    ("schedule.warmup_steps", {"schedule.name": "cosine"}, {"schedule.name": "constant"}),
    ("schedule.final_factor", {"schedule.name": "linear"}, {"schedule.name": "step"}),
    ("schedule.every_steps", {"schedule.name": "step"}, {"schedule.name": "cosine"}),
    (
        "schedule.step_factor",
        {"schedule.name": "step"},
        {"schedule.name": "warmup", "schedule.warmup_steps": 1},
    ),
    ("training.eval_every", {"training.eval_grid": "linear"}, {"training.eval_grid": "geometric"}),
    ("model.stride_every", {"model.name": "cnn"}, {"model.name": "fc"}),
    ("model.min_map", {"model.name": "cnn"}, {"model.name": "fc"}),
    ("model.hidden", {"model.name": "cnn"}, {"model.name": "fc"}),
    ("model.padding", {"model.name": "cnn"}, {"model.name": "fc"}),
    ("model.width", {"model.depth": 1}, {"model.depth": 0}),
    ("model.bias", {"model.depth": 1}, {"model.depth": 0}),
    ("model.dropout", {"model.depth": 1}, {"model.depth": 0}),
    ("model.init_gain", {"model.depth": 1}, {"model.depth": 0}),
    ("data.train_examples", {"data.train_examples": 100}, {}),
    ("model.init_sd", {"model.init": "normal"}, {"model.init": "torch"}),
    ("model.init_sd", {"model.head_init": "normal"}, {"model.head_init": "normal", "model.head_sd": 0.1}),
    ("model.head_sd", {"model.head_init": "truncated_normal"}, {"model.head_init": "orthogonal"}),
]


@pytest.mark.parametrize(("key", "matters", "does_not"), _NEEDS)
def test_params_hold_a_key_exactly_where_it_can_matter(
    key: str, matters: dict[str, Any], does_not: dict[str, Any], make_trial: MakeTrial
) -> None:
    assert key in make_trial(matters).params
    assert key not in make_trial(does_not).params


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("data.root", ["/a", None]),
        ("data.download", [True, False]),
        ("data.targets", [{"fc": [0.5]}, {}]),
        ("training.targets", [[0.5], [0.6], None]),
        ("training.max_pack", [1, None]),
        ("training.max_memory", [1.0, None]),
        ("runs_dir", ["a", "b"]),
        ("tracking.uri", ["http://localhost:1", None]),
        ("tracking.experiment", ["a", "b"]),
        ("sweep.name", ["a", "b"]),
        ("sweep.question", ["a?", "b?"]),
        ("plan_only", [True, False]),
        ("resume", [True, False]),
        ("pack", ["a", None]),
    ],
)
def test_what_cannot_change_a_result_is_not_part_of_the_key(key: str, values: list[Any], make_trial: MakeTrial) -> None:
    trials = [make_trial({key: value}) for value in values]
    assert len({trial.key for trial in trials}) == 1
    assert len({trial.signature for trial in trials}) == 1
    assert key not in trials[0].params


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"optimizer.lr": 0.11},
        {"training.steps": 999},
        {"training.eval_grid": "linear"},
        {"training.eval_examples": 100},
        {"data.split": "by_seed"},
        {"data.train_examples": 100},
        {"model.dropout": 0.1},
        {"training.precision": "float64"},
        {"training.measures": ["gradients"]},
    ],
)
def test_what_can_change_a_result_changes_the_key(changes: dict[str, Any], make_trial: MakeTrial) -> None:
    assert make_trial(changes).key != make_trial({}).key


def test_other_data_are_another_trial(make_trial: MakeTrial) -> None:
    assert make_trial({}, data_checksum="a").key != make_trial({}, data_checksum="b").key
    assert make_trial({}, data_checksum="a").key == make_trial({}, data_checksum="a").key


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"training.steps": 150}, {"training.epochs": 10}),
        ({"training.steps": 100}, {"training.examples": 6400}),
        ({}, {"training.steps": DEFAULT_STEPS}),
        (
            {"optimizer.lr": 0.1, "training.batch_size": 32},
            {"optimizer.lr": 0.2, "training.batch_size": 32, "optimizer.lr_scaling": "linear"},
        ),
        ({"optimizer.lr": 0.1}, {"optimizer.lr": 0.1, "optimizer.lr_scaling": "sqrt"}),
        ({"optimizer.lr": 1}, {"optimizer.lr": 1.0}),
        ({"norm.placement": "after"}, {"norm.placement": "before"}),
        ({"model.hidden": 5}, {}),
        ({"training.measures": []}, {}),
        (
            {"training.measures": ["gradients", "activations"]},
            {"training.measures": ["activations", "gradients", "activations"]},
        ),
    ],
)
def test_two_spellings_of_one_training_have_one_key(
    one: dict[str, Any], two: dict[str, Any], make_trial: MakeTrial
) -> None:
    assert make_trial(one).key == make_trial(two).key


def test_measures_are_one_word_among_a_trial_s_params_and_absent_where_there_are_none(make_trial: MakeTrial) -> None:
    trial = make_trial({"training.measures": ["effective_lr", "gradients"]})
    assert trial.params["training.measures"] == "gradients,effective_lr"
    assert "training.measures" not in make_trial({}).params


def test_a_key_is_16_hex_digits(make_trial: MakeTrial) -> None:
    key = make_trial({}).key
    assert len(key) == 16
    assert int(key, 16) >= 0


def test_params_and_configuration_name_a_section_by_its_own_key(make_trial: MakeTrial) -> None:
    params = make_trial({"norm.name": "batch"}).params
    assert (params["model"], params["norm"], params["data"]) == ("fc", "batch", "mnist_5k")
    assert not [key for key in params if key.endswith(".name")]
    assert params.keys() <= flatten(Config()).keys()


# Which trials may share a pack. Any valid configuration, and any one key of it changed.

_MAY_VARY = {
    "seed",
    *(f"model.{key}" for key in ("init", "init_gain", "init_sd", "head_init", "head_gain", "head_sd")),
    "model.dropout",
    "norm.momentum",
    *(f"optimizer.{key}" for key in ("lr", "momentum", "beta1", "beta2", "weight_decay")),
    "schedule",
    *(f"schedule.{key}" for key in ("warmup_steps", "final_factor", "every_steps", "step_factor")),
}

_VALUES: dict[str, list[Any]] = {
    "seed": [0, 1, 2],
    "data.name": ["mnist_5k", "digits"],
    "data.split": ["fixed", "by_seed"],
    "data.scaling": ["unit", "raw"],
    "data.train_examples": [None, 100, 200],
    "model.name": ["fc", "cnn"],
    "model.depth": [2, 3],
    "model.width": [4, 8],
    "model.widths": [None, [4], [8, 4]],
    "model.stride_every": [2, 3],
    "model.min_map": [1, 4],
    "model.hidden": [10, 20],
    "model.padding": ["torch", "same"],
    "model.dropout": [0.1, 0.5],
    "model.activation": ["relu", "tanh"],
    "model.bias": ["auto", "always"],
    "model.init": ["torch", "normal"],
    "model.init_gain": [1.0, 2.0],
    "model.init_sd": [0.05, 0.1],
    "model.head_init": [None, "normal", "orthogonal"],
    "model.head_gain": [1.0, 2.0],
    "model.head_sd": [None, 0.1],
    "norm.name": [*NORMS],
    "norm.placement": ["before", "after"],
    "norm.momentum": [0.1, 0.5],
    "norm.eps": [1e-5, 1e-3],
    "norm.affine": [True, False],
    "norm.logits": ["none", "plain", "affine"],
    "norm.single_value": ["error", "constant"],
    "norm.averaging": ["exponential", "cumulative"],
    "norm.running_var": ["unbiased", "biased"],
    "norm.impl": ["native", "manual"],
    "norm.inference": ["running", "batch", "precise", "initial"],
    "norm.weight_standardization": [False, True],
    "norm.noise_shift": [0.5, 1.0],
    "norm.noise_scale": [1.25, 2.0],
    "norm.decay_forward": [0.999, 0.9],
    "norm.decay_backward": [0.99, 0.9],
    "norm.groups": [2, 4],
    "norm.ghost_size": [8, 16],
    "norm.r_max": [3.0, 2.0],
    "norm.d_max": [5.0, 1.0],
    "norm.renorm_warmup_steps": [0, 5],
    "optimizer.name": ["sgd", "momentum", "adam", "adamw"],
    "optimizer.lr": [0.1, 0.2],
    "optimizer.momentum": [0.9, 0.5],
    "optimizer.nesterov": [False, True],
    "optimizer.beta1": [0.9, 0.8],
    "optimizer.beta2": [0.999, 0.99],
    "optimizer.eps": [1e-8, 1e-6],
    "optimizer.weight_decay": [0.1, 0.2],
    "schedule.name": ["constant", "warmup", "linear", "cosine", "step"],
    "schedule.warmup_steps": [5, 10],
    "schedule.final_factor": [0.0, 0.1],
    "schedule.every_steps": [100, 50],
    "schedule.step_factor": [0.5, 0.1],
    "training.batch_size": [32, 64],
    "training.steps": [100, 200],
    "training.loss": ["softmax", "sigmoid"],
    "training.eval_grid": ["geometric", "linear"],
    "training.eval_every": [10, 20],
    "training.eval_examples": [None, 100],
    "training.precision": ["float32", "float64"],
    "training.measures": [[], ["gradients"], ["gradients", "activations"]],
}


def _trial(values: dict[str, Any]) -> Trial:
    """Past the schema's conversions, for speed: its choices are words that equal their members."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        if name:
            sections.setdefault(section, {})[name] = value
    defaults = Config()
    parts = {name: replace(getattr(defaults, name), **own) for name, own in sections.items()}
    return Trial.from_config(Config(seed=values["seed"], **parts), train_size=1000, data_checksum="c")


@st.composite
def _one_key_apart(draw: st.DrawFn) -> tuple[str, Trial, Trial]:
    values = {key: draw(st.sampled_from(choices)) for key, choices in _VALUES.items()}
    key = draw(st.sampled_from(sorted(_VALUES)))
    other = draw(st.sampled_from([choice for choice in _VALUES[key] if choice != values[key]]))
    return key.removesuffix(".name"), _trial(values), _trial(values | {key: other})


@settings(max_examples=300, deadline=None)
@given(_one_key_apart())
def test_trials_may_share_a_pack_exactly_if_what_differs_may_vary_in_one(
    case: tuple[str, Trial, Trial],
) -> None:
    key, one, two = case
    matters = key in one.params or key in two.params
    assert (one.key == two.key) == (not matters)
    assert (one.signature == two.signature) == (key in _MAY_VARY or not matters)


def test_trials_with_decay_and_without_share_no_pack(make_trial: MakeTrial) -> None:
    none, some = (make_trial({"optimizer.weight_decay": decay}) for decay in (0.0, 0.1))
    assert none.signature != some.signature


def test_trials_with_dropout_and_without_share_no_pack(make_trial: MakeTrial) -> None:
    none, some = (make_trial({"model.dropout": p}) for p in (0.0, 0.1))
    assert none.signature != some.signature


def test_every_key_of_a_trial_is_varied_above() -> None:
    no_effect = {
        "data.root",
        "data.path",
        "data.download",
        "data.stand_in",
        "data.targets",
        "training.targets",
        "training.max_pack",
        "training.max_memory",
        "training.checkpoint_every",
    }
    other_spellings = {
        "norm.preset",
        "training.epochs",
        "training.examples",
        "optimizer.lr_scaling",
        "optimizer.lr_reference_batch_size",
    }
    of_one_kind = {"data.factory", "data.image_size", "model.factory", "norm.factory"}
    of_the_machine = {"training.device"}
    keys = {key.removesuffix(".name") for key in _VALUES}
    assert keys == flatten(Config()).keys() - no_effect - other_spellings - of_one_kind - of_the_machine


_PRESETS = {
    "torch": {"norm.momentum": 0.1, "norm.eps": 1e-5, "norm.running_var": "unbiased"},
    "tensorflow": {"norm.momentum": 0.01, "norm.eps": 1e-3, "norm.running_var": "biased"},
}


@pytest.mark.parametrize("preset", _PRESETS)
def test_a_preset_is_another_spelling_of_its_values(preset: str, make_trial: MakeTrial) -> None:
    batch = {"norm.name": "batch"}
    named, spelt = make_trial(batch | {"norm.preset": preset}), make_trial(batch | _PRESETS[preset])
    assert named.key == spelt.key
    assert {key: named.params[key] for key in _PRESETS[preset]} == _PRESETS[preset]
    assert named.norm.momentum == _PRESETS[preset]["norm.momentum"]


def test_a_value_given_wins_over_the_preset(make_trial: MakeTrial) -> None:
    trial = make_trial({"norm.name": "batch", "norm.preset": "tensorflow", "norm.eps": 0.5})
    assert (trial.norm.eps, trial.norm.momentum) == (0.5, 0.01)


def test_what_may_vary_in_a_pack_is_what_it_holds_as_vectors_or_draws_for_each_trial() -> None:
    assert VARIES_IN_PACK == _MAY_VARY


def test_fixed_splits_of_other_data_never_share_a_pack(make_trial: MakeTrial) -> None:
    one, two = (make_trial({}, data_checksum=checksum) for checksum in "ab")
    assert one.signature != two.signature


def test_splits_drawn_by_seed_share_a_pack(make_trial: MakeTrial) -> None:
    one, two = (make_trial({"data.split": "by_seed"}, data_checksum=checksum) for checksum in "ab")
    assert one.signature == two.signature
