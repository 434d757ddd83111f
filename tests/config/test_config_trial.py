"""A trial: values derived from its configuration, the keys that matter to it, and when two trials are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnbench.config import Config, Trial
from bnbench.config.schema import DEFAULT_STEPS
from bnbench.config.trial import flatten

MakeTrial = Callable[..., Trial]


# Values derived from a configuration.


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


def test_targets_are_the_data_set_s_for_this_model_unless_the_configuration_sets_them(make_trial: MakeTrial) -> None:
    defaults = {"data.targets": {"fc": [0.9, 0.8], "cnn": [0.5]}}
    assert make_trial(defaults).targets == (0.8, 0.9)
    assert make_trial(defaults | {"model.name": "cnn"}).targets == (0.5,)
    assert make_trial(defaults | {"training.targets": [0.7, 0.3]}).targets == (0.3, 0.7)
    assert make_trial(defaults | {"training.targets": []}).targets == ()
    assert make_trial({}).targets == ()


# Each row: a key, values with which it matters to a trial, and values with which it does not.

_OFTEN = {"training.measure_every": 4}
_RANK = _OFTEN | {"training.measures": ["rank"]}

_NEEDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("norm.placement", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.momentum", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.eps", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.affine", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.logits", {"norm.name": "layer"}, {"norm.name": "none"}),
    ("norm.single_value", {"norm.name": "batch"}, {"norm.name": "none"}),
    ("norm.momentum", {"norm.name": "ghost_batch"}, {"norm.name": "layer"}),
    ("norm.averaging", {"norm.name": "batch"}, {"norm.name": "group"}),
    ("norm.running_var", {"norm.name": "ghost_batch"}, {"norm.name": "batch_renorm"}),
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
    ("training.measure_every", _RANK, _OFTEN),
    ("training.measure_every", _RANK, {"training.measures": ["rank"]}),
    (
        "training.measure_every",
        _RANK,
        _OFTEN | {"training.measures": ["test_shift"]},
    ),
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
def test_params_hold_a_key_exactly_if_it_matters(
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
def test_a_value_that_cannot_change_a_result_is_not_part_of_the_key(
    key: str, values: list[Any], make_trial: MakeTrial
) -> None:
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
def test_a_value_that_can_change_a_result_changes_the_key(changes: dict[str, Any], make_trial: MakeTrial) -> None:
    assert make_trial(changes).key != make_trial({}).key


def test_other_data_are_another_trial(make_trial: MakeTrial) -> None:
    assert make_trial({}, data_checksum="a").key != make_trial({}, data_checksum="b").key
    assert make_trial({}, data_checksum="a").key == make_trial({}, data_checksum="a").key


@pytest.mark.parametrize(
    ("values", "other_spelling"),
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
    values: dict[str, Any], other_spelling: dict[str, Any], make_trial: MakeTrial
) -> None:
    assert make_trial(values).key == make_trial(other_spelling).key


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


_PRESETS = {
    "torch": {"norm.momentum": 0.1, "norm.eps": 1e-5, "norm.running_var": "unbiased"},
    "tensorflow": {"norm.momentum": 0.01, "norm.eps": 1e-3, "norm.running_var": "fused"},
    "keras": {"norm.momentum": 0.01, "norm.eps": 1e-3, "norm.running_var": "biased"},
}


@pytest.mark.parametrize("preset", _PRESETS)
def test_a_preset_is_another_spelling_of_its_values(preset: str, make_trial: MakeTrial) -> None:
    batch = {"norm.name": "batch"}
    named, spelt = make_trial(batch | {"norm.preset": preset}), make_trial(batch | _PRESETS[preset])
    assert named.key == spelt.key
    assert {key: named.params[key] for key in _PRESETS[preset]} == _PRESETS[preset]
    assert named.norm.momentum == _PRESETS[preset]["norm.momentum"]


def test_a_value_in_the_configuration_wins_over_the_preset(make_trial: MakeTrial) -> None:
    trial = make_trial({"norm.name": "batch", "norm.preset": "tensorflow", "norm.eps": 0.5})
    assert (trial.norm.eps, trial.norm.momentum) == (0.5, 0.01)


@pytest.mark.parametrize(
    "setting",
    ["ATEN_CPU_CAPABILITY=avx2", "ONEDNN_MAX_CPU_ISA=AVX2", "DNNL_MAX_CPU_ISA=SSE41", "MKL_CBWR=COMPATIBLE"],
)
def test_a_setting_that_makes_kernels_round_otherwise_is_in_the_key(
    make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Each of these changed digits of small dense or convolutional networks (torch 2.13.0, an AMD EPYC)."""
    usual = make_trial({}).key
    monkeypatch.setenv(*setting.split("="))
    assert make_trial({}).key != usual


def test_threads_and_seeds_of_the_environment_are_not_in_the_key(
    make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = make_trial({}).key
    for name, value in (("OMP_NUM_THREADS", "2"), ("PL_GLOBAL_SEED", "7"), ("MKL_CBWR", "AUTO,STRICT")):
        monkeypatch.setenv(name, value)
    assert make_trial({}).key == usual
