"""Finds what is wrong with a configuration before anything is trained, one line for each error."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from bnbench.config.choices import Device, Engine, EvalGrid, Init
from bnbench.config.engine import why_torch
from bnbench.config.model_catalog import ALL_MODELS
from bnbench.config.norm_catalog import ALL_NORMS
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.config.schedule_catalog import SCHEDULES
from bnbench.config.schema import Config, TrainingConfig, range_errors
from bnbench.tensors.device import has_gpu

MOST_POINTS = 320
"""The most points a curve may have, step 0 included: of a longer one MLflow draws only some, and peaks vanish."""

_USED_BY_ONE_NAME = [
    ("data", "factory", "custom"),
    ("data", "path", "arrays"),
    ("data", "image_size", "folder"),
    ("model", "factory", "custom"),
    ("norm", "factory", "custom"),
]
"""Section, key, and the only `name` of the section for which the key has an effect."""


def config_errors(config: Config, train_size: int) -> list[str]:
    """The errors of one trial's configuration, one line each; an empty list if it is right.

    Args:
        config: The configuration.
        train_size: Images in the training split.
    """
    return [*unknown_names(config)] or [*range_errors(config), *_contradictions(config, train_size)]


def unknown_names(config: Config) -> Iterator[str]:
    """One line for each of the model, the norm, the optimizer and the schedule whose name is in no catalog."""
    catalogs: dict[str, Collection[str]] = {
        "model": ALL_MODELS,
        "norm": ALL_NORMS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
    }
    for key, names in catalogs.items():
        name = getattr(config, key).name
        if name not in names:
            yield f"{key}={name} is unknown; allowed: {', '.join(names)}"


def useless_keys(configs: Sequence[Config]) -> Iterator[str]:
    """One line for each value, such as `norm.factory`, that no trial of a sweep has a use for.

    In `norm=batch,custom norm.factory=…` the trials with `norm=custom` use it, so there it is no error.

    Args:
        configs: The configurations of all trials of the sweep.
    """
    for section, key, kind in _USED_BY_ONE_NAME:
        sections = [getattr(config, section) for config in configs]
        used = {getattr(part, key) for part in sections if part.name == kind}
        for value in dict.fromkeys(getattr(part, key) for part in sections):
            if value is not None and value not in used:
                names = ",".join(dict.fromkeys(part.name for part in sections if getattr(part, key) == value))
                yield f"{section}.{key}={value} is for {section}={kind}; {section}={names} does not use it"
    without = {config.norm.without: config.model.name for config in configs if config.norm.without is not None}
    # A model that is unknown is complained of by itself.
    known = [config for config in configs if config.model.name in ALL_MODELS]
    used = {config.norm.without for config in known if not ALL_MODELS[config.model.name].blocks}
    for value in without.keys() - used:
        yield f"norm.without={value} is for model=custom; model={without[value]} does not use it"


def _contradictions(config: Config, train_size: int) -> Iterator[str]:
    training = config.training
    budgets = {key: getattr(training, key) for key in ("steps", "epochs", "examples")}
    set_budgets = [f"training.{key}={value}" for key, value in budgets.items() if value is not None]
    if len(set_budgets) > 1:
        yield f"{' and '.join(set_budgets)} contradict each other; give one of them and set the others to null"
    subset = config.data.train_examples
    size = subset or train_size
    if size > train_size:
        yield (
            f"data.train_examples={subset} is more than the {train_size} training images of data={config.data.name}; "
            f"it must be at most {train_size}"
        )
    elif training.batch_size > size >= 1:
        source = f"data={config.data.name}" if subset is None else f"data.train_examples={subset}"
        yield (
            f"training.batch_size={training.batch_size} is more than the {size} training images of {source}; "
            f"it must be at most {size}"
        )
    elif training.examples is not None and 0 < training.examples < training.batch_size:
        yield (
            f"training.examples={training.examples} is less than one batch; it must be at least "
            f"training.batch_size={training.batch_size}"
        )
    yield from _too_long_curves(training, size)
    yield from ALL_MODELS[config.model.name].errors(config.model, config.norm)
    key, targets = configured_targets(config)
    if not isinstance(targets, list) or not all(isinstance(target, int | float) for target in targets):
        yield f"{key}={targets} is not allowed; it must be a list of accuracies > 0 and <= 1"
    else:
        for target in targets:
            if not 0 < target <= 1:
                yield f"{key} has {target}; a target is an accuracy > 0 and <= 1"
    widths = config.model.widths
    if widths is not None and min(widths, default=0) < 1:
        yield f"model.widths={widths} is not allowed; it must be null or a list of whole numbers >= 1"
    yield from _missing_factories(config)
    if config.norm.name == "own" and ALL_MODELS[config.model.name].blocks:
        yield f"norm=own is for the norms that model=custom has itself; model={config.model.name} takes norm=batch, say"
    yield from _brought_weights_errors(config)
    if training.device == Device.cuda and not has_gpu():
        yield "training.device=cuda is not possible: torch finds no GPU here; set training.device=cpu, or auto"
    on_cpu = replace(training, device=Device.cpu) if training.device == Device.auto else training
    reason = why_torch(config.model, config.norm, config.optimizer, on_cpu)
    if training.engine == Engine.lanes and reason is not None:
        yield f"training.engine=lanes is not possible with {reason}; set training.engine=torch, or auto"
    schedule = config.schedule.name
    if SCHEDULES[schedule].needs_warmup and config.schedule.warmup_steps == 0:
        yield f"schedule.warmup_steps=0 is not allowed with schedule={schedule}; it must be a whole number >= 1"


def _too_long_curves(training: TrainingConfig, train_size: int) -> Iterator[str]:
    """One line for each key that makes curves of more than `MOST_POINTS` points."""
    if training.batch_size < 1:
        return
    steps = training.steps_over(train_size)
    eval_every = training.eval_every if training.eval_grid == EvalGrid.linear else None
    for key, every in (("eval_every", eval_every), ("measure_every", training.measure_every)):
        points = 1 + math.ceil(steps / every) if every is not None and every >= 1 else 0  # step 0 is one of them
        if points > MOST_POINTS:
            yield (
                f"training.{key}={every} makes curves of {points:,} points in {steps:,} steps; "
                f"it must be at least {math.ceil(steps / (MOST_POINTS - 1))}, for {MOST_POINTS} points"
            )


def _brought_weights_errors(config: Config) -> Iterator[str]:
    """One line for each key that contradicts `init=own`, under which a custom network keeps the weights it brings."""
    model = config.model
    for key, gain in (("init", "init_gain"), ("head_init", "head_gain")):
        scheme = model.head_init or model.init if key == "head_init" else model.init
        if scheme != Init.own:
            continue
        if model.name != "custom" and getattr(model, key) == Init.own:
            yield f"model.{key}=own keeps the weights that model=custom brings; model={model.name} brings none"
        elif model.name == "custom" and getattr(model, gain) != 1:
            yield f"model.{gain}={getattr(model, gain)} contradicts model.{key}=own, which keeps weights; set it to 1"


def _missing_factories(config: Config) -> Iterator[str]:
    """One line for each of data, model and norm that is `custom` without a `factory`."""
    for section, key, kind in _USED_BY_ONE_NAME:
        name, value = getattr(config, section).name, getattr(getattr(config, section), key)
        if value is None and name == kind and key == "factory":
            yield f"{section}={kind} needs {section}.factory=package.module:function; give it"


def configured_targets(config: Config) -> tuple[str, Any]:
    """The key that the targets stand under, and its value, not yet checked."""
    if config.training.targets is not None:
        return "training.targets", config.training.targets
    return f"data.targets.{config.model.name}", config.data.targets.get(config.model.name, [])
