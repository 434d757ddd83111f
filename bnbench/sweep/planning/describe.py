"""What the terminal shows of a sweep before it runs: its question, its data, and its plan by arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnbench.config import Config, Trial
from bnbench.config.evaluation_grid import evaluation_examples
from bnbench.data import DATASETS, dataset_info
from bnbench.sweep.planning.plan import Plan

_MOST_ARMS = 40
_LONG = 3600  # seconds
_FEW_SEEDS = 3
_FEW_VALUES = 2


def describe_question(name: str, config: Config) -> str:
    """The first lines: what is asked, and on which images."""
    info = DATASETS.get(config.data.name)
    sizes = ""
    if info:
        train = config.data.train_examples or info.train
        sizes = f", {train:,} / {info.val:,} / {info.test:,} train / validation / test images"
    question = f": {config.sweep.question}" if config.sweep.question else ""
    return f"{name}{question}\ndata: {config.data.name}{sizes}"


def varied_keys(trials: Sequence[Trial], axes: Sequence[str]) -> list[str]:
    """The params that make the trials differ: the axes among them, and what an axis sets where it is not a param.

    `norm.preset`, say, is another spelling of `norm.momentum` and `norm.eps`: the first of these tells its values
    apart. What follows from the keys already named is left out, unless it is an axis itself.
    """
    params = dict.fromkeys(key for trial in trials for key in trial.params)
    varied = [key for key in params if len({repr(trial.params.get(key)) for trial in trials}) > 1]
    named = [key for key in varied if key in axes]
    for key in varied:
        if key not in named and not _follows(trials, key, named):
            named.append(key)
    return [key for key in varied if key in named]


def arm_keys(trials: Sequence[Trial], varied: Sequence[str]) -> list[str]:
    """The fewest varied keys that tell the arms apart: not the seed, nor a key that follows from those before it.

    Where each model has an optimizer of its own, the model alone tells them apart.
    """
    telling: list[str] = []
    for key in varied:
        if key != "seed" and not _follows(trials, key, telling):
            telling.append(key)
    return telling


def _follows(trials: Sequence[Trial], key: str, keys: Sequence[str]) -> bool:
    """Whether trials that agree on the given keys agree on this one."""
    seen: dict[tuple[str, ...], str] = {}
    for trial in trials:
        value = repr(trial.params.get(key))
        if seen.setdefault(tuple(repr(trial.params.get(k)) for k in keys), value) != value:
            return False
    return True


def arm_label(trial: Trial, keys: Sequence[str]) -> str:
    """A trial's arm in a few words: the values of the keys that tell arms apart."""
    values = [(key, trial.params[key]) for key in keys if key in trial.params]
    return "  ".join(_short(key, value) for key, value in values) or trial.model.name


def _short(key: str, value: Any) -> str:
    if key in {"data", "model", "norm", "norm.placement", "optimizer"}:
        return str(value)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{key.rpartition('.')[2]}={text.lower() if isinstance(value, bool) else text}"


def describe_plan(plan: Plan, axes: Sequence[str], workers: int, remarks: Sequence[str] = ()) -> str:
    """The plan by arm: trials, what needs no training and why; then remarks, packs, and the estimated time."""
    trials = [p.trial for p in plan.planned]
    keys = arm_keys(trials, varied_keys(trials, axes))
    seconds = {p.trial.key: plan.pack_seconds(pack) / len(pack) for pack in plan.packs for p in pack}
    rows: dict[str, list[float]] = {}
    for p in plan.planned:
        row = rows.setdefault(arm_label(p.trial, keys), [0, 0, 0, 0])
        row[0] += 1
        row[1] += p.undefined is not None
        row[2] += p.trial.key in plan.finished
        row[3] += seconds.get(p.trial.key, 0)
    width = max(len("arm"), *(len(label) for label in rows))
    lines = [f"{'arm':<{width}}  trials  undefined  finished  about"]
    for label, (number, undefined, finished, cost) in list(rows.items())[:_MOST_ARMS]:
        lines.append(
            f"{label:<{width}}  {number:>6.0f}  {undefined or '-':>9}  {finished or '-':>8}  {duration(cost / workers)}"
        )
    if len(rows) > _MOST_ARMS:
        lines.append(f"… and {len(rows) - _MOST_ARMS} more arms")
    lines += remarks
    lines += _validation_lines(trials)
    estimate = plan.seconds_on(workers)
    lines.append(
        f"{count(len(trials), 'trial')} ({count(plan.duplicates, 'duplicate')} dropped, {len(plan.finished)} finished "
        f"before, {len(plan.undefined)} undefined) in {count(len(plan.packs), 'pack')} on "
        f"{count(workers, 'worker')}, about {duration(estimate)}"
    )
    if estimate > _LONG:
        lines.append(f"to make it shorter: {_shorter(trials, varied_keys(trials, axes), estimate)}")
    return "\n".join(lines)


def _shorter(trials: Sequence[Trial], varied: Sequence[str], seconds: float) -> str:
    """What would take less time, and about how much time it would take."""
    steps, seeds = max(trial.steps for trial in trials), len({trial.seed for trial in trials})
    ways = [f"training.steps={fewer} takes about {duration(seconds * fewer / steps)}"] if (fewer := steps // 5) else []
    if seeds > _FEW_SEEDS:
        ways.append(f"'seed=range({_FEW_SEEDS})' about {duration(seconds * _FEW_SEEDS / seeds)}")
    values = {key: len({repr(trial.params.get(key)) for trial in trials}) for key in varied if key != "seed"}
    ways += [f"fewer of the {number} values of {key}" for key, number in values.items() if number > _FEW_VALUES]
    if any(trial.model.name == "custom" for trial in trials):
        ways.append("a smaller network, by model.width or model.depth if its function goes by them")
    return "; ".join(ways)


def curve_images(trials: Sequence[Trial]) -> list[int]:
    """How many validation images the evaluations along the trials' curves are on: the different numbers, ascending."""
    return sorted({evaluation_examples(trial, dataset_info(trial.data).val) for trial in trials})


def _validation_lines(trials: Sequence[Trial]) -> list[str]:
    """Where curves are of fewer validation images than there are: how many decide, and how many do not."""
    data: dict[str, list[Trial]] = {}
    for trial in trials:
        data.setdefault(trial.data.name, []).append(trial)
    lines = []
    for name, using in data.items():
        curve, every = curve_images(using), dataset_info(using[0].data).val
        if curve[0] < every:
            curve_size = f"{curve[0]:,}" if len(curve) == 1 else f"{curve[0]:,} to {curve[-1]:,}"
            lines.append(
                f"validation on {name}: all {every:,} images after the last step, which chooses learning rates; "
                f"{curve_size} along the curve, and for steps to a target (training.eval_examples)"
            )
    return lines


def count(number: int, noun: str) -> str:
    """A number of things: `1 trial`, `2 trials`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """A time in words that fit its size: `40 s`, `3.5 min`, `2.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
