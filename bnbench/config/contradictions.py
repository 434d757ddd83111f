"""What is wrong with a configuration, before anything is trained: one line each."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from bnbench.config.choices import Device, EvalGrid, Init
from bnbench.config.model_catalog import ALL_MODELS
from bnbench.config.norm_catalog import ALL_NORMS
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.config.schedule_catalog import SCHEDULES
from bnbench.config.schema import Config, TrainingConfig, range_errors
from bnbench.tensors.device import has_gpu

MOST_POINTS = 320
"""Points that a curve may have, its first included: MLflow draws some of the rows of a longer one, and peaks vanish."""

_OF_ONE_KIND = [
    ("data", "factory", "custom"),
    ("data", "path", "arrays"),
    ("data", "image_size", "folder"),
    ("model", "factory", "custom"),
    ("norm", "factory", "custom"),
]


def config_errors(config: Config, train_size: int) -> list[str]:
    """What is wrong with a configuration as a trial's, one line each; nothing if it is right."""
    return [*unknown_names(config)] or [*range_errors(config), *_contradictions(config, train_size)]


def unknown_names(config: Config) -> Iterator[str]:
    """Which of its model, norm, optimizer and schedule is in no catalog, one line each."""
    catalogs: dict[str, Collection[str]] = {
        "model": ALL_MODELS,
        "norm": ALL_NORMS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
    }
    for key, known in catalogs.items():
        name = getattr(config, key).name
        if name not in known:
            yield f"{key}={name} is unknown; allowed: {', '.join(known)}"


def useless_keys(configs: Sequence[Config]) -> Iterator[str]:
    """What is given to kinds of data, model or norm of which none has a use for it, one line each.

    In `norm=batch,custom norm.factory=…` one of the trials has.
    """
    for section, key, kind in _OF_ONE_KIND:
        sections = [getattr(config, section) for config in configs]
        used = {getattr(part, key) for part in sections if part.name == kind}
        given = dict.fromkeys(getattr(part, key) for part in sections)
        for value in given:
            if value is not None and value not in used:
                names = ",".join(dict.fromkeys(part.name for part in sections if getattr(part, key) == value))
                yield f"{section}.{key}={value} is for {section}={kind}; {section}={names} does not use it"


def _contradictions(config: Config, train_size: int) -> Iterator[str]:
    training = config.training
    budgets = {key: getattr(training, key) for key in ("steps", "epochs", "examples")}
    given = [f"training.{key}={value}" for key, value in budgets.items() if value is not None]
    if len(given) > 1:
        yield f"{' and '.join(given)} contradict each other; give one of them and set the others to null"
    subset = config.data.train_examples
    size = subset or train_size
    if size > train_size:
        yield (
            f"data.train_examples={subset} is more than the {train_size} training images of data={config.data.name}; "
            f"it must be at most {train_size}"
        )
    elif training.batch_size > size >= 1:
        of = f"data={config.data.name}" if subset is None else f"data.train_examples={subset}"
        yield (
            f"training.batch_size={training.batch_size} is more than the {size} training images of {of}; "
            f"it must be at most {size}"
        )
    elif training.examples is not None and 0 < training.examples < training.batch_size:
        yield (
            f"training.examples={training.examples} is less than one batch; it must be at least "
            f"training.batch_size={training.batch_size}"
        )
    yield from _long_curves(training, size)
    yield from ALL_MODELS[config.model.name].errors(config.model, config.norm)
    key, targets = given_targets(config)
    if not isinstance(targets, list) or not all(isinstance(target, int | float) for target in targets):
        yield f"{key}={targets} is not allowed; it must be a list of accuracies > 0 and <= 1"
    else:
        for target in targets:
            if not 0 < target <= 1:
                yield f"{key} has {target}; a target is an accuracy > 0 and <= 1"
    widths = config.model.widths
    if widths is not None and min(widths, default=0) < 1:
        yield f"model.widths={widths} is not allowed; it must be null or a list of whole numbers >= 1"
    yield from _missing(config)
    yield from _own_weights(config)
    if training.device == Device.cuda and not has_gpu():
        yield "training.device=cuda is not possible: torch finds no GPU here; set training.device=cpu, or auto"
    schedule = config.schedule.name
    if SCHEDULES[schedule].needs_warmup and config.schedule.warmup_steps == 0:
        yield f"schedule.warmup_steps=0 is not allowed with schedule={schedule}; it must be a whole number >= 1"


def _long_curves(training: TrainingConfig, train_size: int) -> Iterator[str]:
    """What would be recorded so often that stores and charts suffer."""
    if training.batch_size < 1:
        return
    steps = training.steps_over(train_size)
    eval_every = training.eval_every if training.eval_grid == EvalGrid.linear else None
    for key, every in (("eval_every", eval_every), ("measure_every", training.measure_every)):
        points = 1 + math.ceil(steps / every) if every is not None and every >= 1 else 0  # that of step 0 included
        if points > MOST_POINTS:
            yield (
                f"training.{key}={every} makes curves of {points:,} points in {steps:,} steps; "
                f"it must be at least {math.ceil(steps / (MOST_POINTS - 1))}, for {MOST_POINTS} points"
            )


def _own_weights(config: Config) -> Iterator[str]:
    """What does not go with initial weights that a network brings."""
    model = config.model
    for key, gain in (("init", "init_gain"), ("head_init", "head_gain")):
        scheme = model.head_init or model.init if key == "head_init" else model.init
        if scheme != Init.own:
            continue
        if model.name != "custom" and getattr(model, key) == Init.own:
            yield f"model.{key}=own keeps the weights that model=custom brings; model={model.name} brings none"
        elif model.name == "custom" and getattr(model, gain) != 1:
            yield f"model.{gain}={getattr(model, gain)} contradicts model.{key}=own, which keeps weights; set it to 1"


def _missing(config: Config) -> Iterator[str]:
    """What a kind of data, model or norm needs and was not given."""
    for section, key, kind in _OF_ONE_KIND:
        name, value = getattr(config, section).name, getattr(getattr(config, section), key)
        if value is None and name == kind and key == "factory":
            yield f"{section}={kind} needs {section}.factory=package.module:function; give it"


def given_targets(config: Config) -> tuple[str, Any]:
    """The targets as given, not yet checked, and the key they stand under."""
    if config.training.targets is not None:
        return "training.targets", config.training.targets
    return f"data.targets.{config.model.name}", config.data.targets.get(config.model.name, [])
