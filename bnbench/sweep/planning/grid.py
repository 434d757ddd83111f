"""From what varies to the points of the grid: axes, arms and the command line, expanded to override lists."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType

from bnbench.config import Config, ConfigError
from bnbench.config.trial import TRIAL_SECTIONS
from bnbench.sweep.planning.words import quoted

_LISTS = {ValueType.CHOICE_SWEEP, ValueType.SIMPLE_CHOICE_SWEEP, ValueType.RANGE_SWEEP}


@dataclass(frozen=True)
class Value:
    """One value of one key: as typed in Hydra's grammar, and parsed."""

    key: str
    text: str
    parsed: Any

    @property
    def override(self) -> str:
        return f"{self.key}={self.text}"


Axis = list[Value]
Point = tuple[Value, ...]


@dataclass(frozen=True)
class Grid:
    """Every point of a sweep.

    Attributes:
        fixed: Overrides typed on the command line that do not vary, as typed.
        points: One tuple of values a trial, before duplicates are dropped; at least one, perhaps empty.
        axes: The keys that take part in the grid.
        sets: The alternatives of each set of arms, each with its values by key.
    """

    fixed: list[str]
    points: list[Point]
    axes: list[str]
    sets: list[list[dict[str, Axis]]]


def expand(
    params: Mapping[str, Any],
    arms: Mapping[str, Sequence[Sequence[str]]],
    command_line: Sequence[str],
    *,
    is_group: Callable[[str], bool],
    tuning_seeds: Sequence[int] = (),
) -> Grid:
    """Cross the axes with the arms; the command line wins over both.

    A key typed on the command line replaces the file's axis of that key. Where the key is a config group and some
    arms choose the value typed, it selects those arms; where no arm does, it replaces the arms' choice.

    Args:
        params: Axes, by key: `a,b`, `range(3)`, or a YAML list of values.
        arms: By name, a set of alternatives; each alternative is a list of overrides, which may sweep too. Sets
            are crossed with each other and with the axes.
        command_line: Overrides as typed.
        is_group: Whether a key chooses a file of a config group.
        tuning_seeds: Added to the seeds that are swept.

    Raises:
        ConfigError: If an axis or arm cannot be read; one line.
    """
    typed = [parse_override(text, "the command line") for text in command_line]
    for text, override in zip(command_line, typed, strict=True):
        if _varies(override) and not _may_vary(override.key_or_group):
            raise ConfigError(_not_an_axis(override.key_or_group, text.partition("=")[2]))
    for key in params:
        if not _may_vary(key):
            raise ConfigError(_not_an_axis(key, _text(params[key])))
    fixed = [text for text, o in zip(command_line, typed, strict=True) if not _varies(o)]
    axes: dict[str, Axis] = {key: _param_axis(key, value) for key, value in params.items()}
    sets = [[_arm(alternative, name) for alternative in alternatives] for name, alternatives in arms.items()]
    in_arms = {key for alternatives in sets for arm in alternatives for key in arm}

    settled = set()  # keys whose command-line value the arms have taken in
    for override in typed:
        key = override.key_or_group
        if override.is_delete():
            continue
        if key in in_arms:
            values = _axis(override)
            if is_group(key):
                sets = [_select(alternatives, key, values) for alternatives in sets]
                settled.add(key)
            else:
                sets = [_replace(alternatives, key, values) for alternatives in sets]
        elif _varies(override):
            axes[key] = _axis(override)
        else:
            axes.pop(key, None)
    fixed = [
        text for text, o in zip(command_line, typed, strict=True) if text in fixed and o.key_or_group not in settled
    ]

    if "seed" in axes:
        seeds = axes["seed"]
        extra = [s for s in tuning_seeds if s not in {v.parsed for v in seeds}]
        axes["seed"] = [*seeds, *(Value("seed", str(s), s) for s in extra)]
    arm_points = [[p for arm in alternatives for p in itertools.product(*arm.values())] for alternatives in sets]
    points = []
    for arm_choice in itertools.product(*arm_points):
        values = [*itertools.chain(*arm_choice)]
        # An arm's own grid is the more specific: it replaces an axis of the same key.
        set_by_arm = {value.key for value in values}
        free = [axis for key, axis in axes.items() if key not in set_by_arm]
        points += [(*values, *axis_choice) for axis_choice in itertools.product(*free)]
    return Grid(fixed, points, sorted({value.key for point in points for value in point}), sets)


def _may_vary(key: str) -> bool:
    """Whether trials can differ in a key; true of an unknown one, whose own error says more."""
    section = key.partition(".")[0]
    is_key = section in {f.name for f in fields(Config)} and key != "sweep"
    return not is_key or section == "seed" or section in TRIAL_SECTIONS


def _not_an_axis(key: str, text: str) -> str:
    section, _, name = key.rpartition(".")
    owner: Any = getattr(Config(), section) if section else Config()
    default = getattr(owner, name, None)
    remedy = f"; if that is one text, quote it: {quoted(key, text)}" if isinstance(default, str | None) else ""
    remedy = f"; a list is written {key}=[{text}]" if isinstance(default, list) else remedy
    return f"{key}={text} gives {key} several values, and it has one for all trials{remedy}"


def _select(alternatives: list[dict[str, Axis]], key: str, values: Axis) -> list[dict[str, Axis]]:
    """The alternatives that choose one of the values; for a value that none chooses, all of them with it instead."""
    if not any(key in arm for arm in alternatives):
        return alternatives
    chosen = []
    for value in values:
        having = [{**arm, key: [value]} for arm in alternatives if value.text in {v.text for v in arm.get(key, [])}]
        chosen += having or [{**arm, key: [value]} for arm in alternatives]
    return chosen


def _replace(alternatives: list[dict[str, Axis]], key: str, values: Axis) -> list[dict[str, Axis]]:
    """The values in every alternative, also those that leave the key at its default."""
    if not any(key in arm for arm in alternatives):
        return alternatives
    return [{**arm, key: values} for arm in alternatives]


def _arm(overrides: Iterable[str], name: str) -> dict[str, Axis]:
    where = f"hydra.sweeper.arms.{name}"
    if isinstance(overrides, str):
        raise ConfigError(f"{where} holds the text {overrides!r}; an alternative is a list of overrides")
    parsed = [parse_override(str(text), where) for text in overrides]
    return {override.key_or_group: _axis(override) for override in parsed}


def _param_axis(key: str, value: Any) -> Axis:
    if isinstance(value, list):
        texts = [_text(item) for item in value]
        if not texts:
            raise ConfigError(f"hydra.sweeper.params.{key}=[] has no values; give at least one")
        return [v for text in texts for v in _axis(parse_override(f"{key}={text}", "hydra.sweeper.params"))]
    return _axis(parse_override(f"{key}={_text(value)}", "hydra.sweeper.params"))


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace(" ", "") if isinstance(value, list) else str(value)


def _axis(override: Override) -> Axis:
    key = override.key_or_group
    if not override.is_sweep_override():
        return [Value(key, override.get_value_element_as_str(), override.value())]
    if override.value_type not in _LISTS:
        raise ConfigError(f"{override.input_line} has no list of values; give {key}=a,b or {key}=range(start,stop)")
    parser = OverridesParser.create()
    texts = [*override.sweep_string_iterator()]
    if not texts:
        raise ConfigError(f"{override.input_line} has no values; give at least one")
    return [Value(key, text, parser.parse_override(f"{key}={text}").value()) for text in texts]


def _varies(override: Override) -> bool:
    return bool(override.is_sweep_override())


def parse_override(text: str, where: str) -> Override:
    """One override in Hydra's grammar.

    Args:
        text: Such as `seed=range(3)`.
        where: It stands, for errors.

    Raises:
        ConfigError: If it cannot be read; one line.
    """
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        detail = " ".join(str(error).split())
        raise ConfigError(f"{text!r} in {where} cannot be read as key=value: {detail}") from error
