"""Which trials may share a pack: any valid configuration, and any one key of it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.config import Config, Trial
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.config.schedule_catalog import SCHEDULES
from bnbench.config.trial import VARIES_IN_PACK, flatten
from bnbench.norms import NORMS

MakeTrial = Callable[..., Trial]

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
    "training.engine": ["auto", "torch"],
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
    "optimizer.name": [*OPTIMIZERS],
    "optimizer.lr": [0.1, 0.2],
    "optimizer.momentum": [0.9, 0.5],
    "optimizer.nesterov": [False, True],
    "optimizer.beta1": [0.9, 0.8],
    "optimizer.beta2": [0.999, 0.99],
    "optimizer.eps": [1e-8, 1e-6],
    "optimizer.weight_decay": [0.1, 0.2],
    "schedule.name": [*SCHEDULES],
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
    "training.measure_every": [None, 2, 5],
    "training.measures": [[], ["gradients"], ["gradients", "activations"]],
}


def _trial(values: dict[str, Any]) -> Trial:
    """A trial of these values. It skips the schema's conversions, for speed: members of its enums equal their words."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        if name:
            sections.setdefault(section, {})[name] = value
    defaults = Config()
    parts = {name: replace(getattr(defaults, name), **section_values) for name, section_values in sections.items()}
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
    key, trial, changed = case
    if key == "training.engine":  # `auto` may be torch
        assert (trial.key == changed.key) == (trial.training.engine == changed.training.engine)
        return
    matters = key in trial.params or key in changed.params
    assert (trial.key == changed.key) == (not matters)
    assert (trial.signature == changed.signature) == (key in _MAY_VARY or not matters)


def test_trials_with_decay_and_without_share_no_pack(make_trial: MakeTrial) -> None:
    without, with_decay = (make_trial({"optimizer.weight_decay": decay}) for decay in (0.0, 0.1))
    assert without.signature != with_decay.signature


def test_trials_with_dropout_and_without_share_no_pack(make_trial: MakeTrial) -> None:
    without, with_dropout = (make_trial({"model.dropout": p}) for p in (0.0, 0.1))
    assert without.signature != with_dropout.signature


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
    used_by_one_name = {"data.factory", "data.image_size", "model.factory", "norm.factory", "norm.without"}
    of_the_machine = {"training.device"}
    keys = {key.removesuffix(".name") for key in _VALUES}
    assert keys == flatten(Config()).keys() - no_effect - other_spellings - used_by_one_name - of_the_machine


def test_the_keys_that_may_vary_in_a_pack_are_those_it_holds_or_draws_for_each_trial() -> None:
    assert VARIES_IN_PACK == _MAY_VARY


def test_fixed_splits_of_other_data_never_share_a_pack(make_trial: MakeTrial) -> None:
    first, second = (make_trial({}, data_checksum=checksum) for checksum in "ab")
    assert first.signature != second.signature


def test_splits_drawn_by_seed_share_a_pack(make_trial: MakeTrial) -> None:
    first, second = (make_trial({"data.split": "by_seed"}, data_checksum=checksum) for checksum in "ab")
    assert first.signature == second.signature
