"""From a grid's points to configurations: one Hydra compose for each choice of config files, not for each trial."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from bnbench import config as schema
from bnbench.config import Config, ConfigError
from bnbench.config.nearest import nearest_key
from bnbench.sweep.planning.grid import Grid

_KINDS: dict[type[Any], str] = {list: "a list", dict: "a mapping"}

Composer = Callable[[list[str]], DictConfig]


def compose(
    grid: Grid, composer: Composer, *, is_group: Callable[[str], bool]
) -> Iterator[tuple[Config, list[str], dict[str, Any]]]:
    """Each point's configuration, what Hydra must compose to get near it, and the values that remain to be set.

    A compose costs Hydra tens of milliseconds, setting a value on the result microseconds; so points that choose
    the same files share one compose.

    Args:
        grid: The points.
        composer: Composes a configuration from overrides.
        is_group: Whether a key chooses a file of a config group.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type; one line for each.
    """
    is_group = functools.cache(is_group)  # Hydra takes 4 ms to tell
    bases: dict[tuple[str, ...], tuple[Composed, list[str]]] = {}
    for point in grid.points:
        groups = tuple(value.override for value in point if is_group(value.key))
        if groups not in bases:
            overrides = [*grid.fixed, *groups]
            bases[groups] = Composed(composer(overrides)), overrides
        base, overrides = bases[groups]
        values = {value.key: value.parsed for value in point if not is_group(value.key)}
        yield base.with_values(values), overrides, values


class Composed:
    """A composed configuration on which many sets of values are set: as `set_values` does, but each value once.

    Args:
        node: As Hydra composed it.

    Raises:
        ConfigError: As `to_config`.
    """

    def __init__(self, node: DictConfig) -> None:
        self._node = node.copy()
        self._config = to_config(node)
        self._interpolates = "${" in OmegaConf.to_yaml(node, resolve=False)
        self._converted: dict[tuple[str, str], Any] = {}

    def with_values(self, values: Mapping[str, Any]) -> Config:
        """The configuration with these values; raises as `set_values`."""
        if self._interpolates:  # a value may depend on another that is set here
            return set_values(self._node, values)
        config = self._config
        for key, value in values.items():
            text = (key, repr(value))
            if text not in self._converted:
                self._converted[text] = self._convert(key, value)
            config = _set(config, key.split("."), self._converted[text])
        return config

    def _convert(self, key: str, value: Any) -> Any:
        """The value in its key's type; set and taken back, for a copy of the node takes several times as long."""
        path = key.split(".")
        try:
            before = _get(self._config, path)
        except (AttributeError, KeyError):  # new in a mapping, or unknown
            return _get(set_values(self._node, {key: value}), path)
        _update(self._node, key, value)
        converted = _get(to_config(self._node), path)
        _update(self._node, key, before)
        return converted


def set_values(node: DictConfig, values: Mapping[str, Any]) -> Config:
    """The node's configuration with some values set, each converted to its key's type.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type.
    """
    node = node.copy()
    for key, value in values.items():
        _update(node, key, value)
    return to_config(node)


def to_config(node: DictConfig) -> Config:
    """The composed node as plain objects.

    Raises:
        ConfigError: If it has keys that the schema does not know, which Hydra accepts with a `+`.
    """
    unknown = unknown_keys(node)
    if unknown:
        raise ConfigError("\n".join(unknown))
    try:
        config = OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        raise ConfigError(_message(error)) from error
    assert isinstance(config, Config)
    wrong = [*_not_of_their_kind(config)]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return config


def _not_of_their_kind(section: Any, prefix: str = "") -> Iterator[str]:
    """A line for each list or mapping that is none: OmegaConf takes any value that stands elsewhere for them."""
    for f in fields(section):
        value = getattr(section, f.name)
        if is_dataclass(value):
            yield from _not_of_their_kind(value, f"{prefix}{f.name}.")
        elif callable(f.default_factory):
            kind = type(f.default_factory())
            if not isinstance(value, kind):
                yield f"{prefix}{f.name}={value} is not allowed; it must be {_KINDS[kind]}"


def unknown_keys(node: DictConfig) -> list[str]:
    """A line for each key that the schema does not have."""
    lines = []
    sections: list[tuple[str, DictConfig, Any]] = [("", node, Config)]
    for prefix, part, kind in sections:  # grows as it is read
        schema_fields = {f.name: f for f in fields(kind)}
        for key in map(str, part):
            if key == "hydra" and prefix == "sweep.":
                lines.append("a sweep file sets hydra.* but has no package; make '# @package _global_' its first line")
            elif key not in schema_fields:
                allowed = ", ".join(sorted(schema_fields))
                near = nearest_key(f"{prefix}{key}")
                lines.append(f"{prefix}{key} is not a key of the configuration{near}; allowed here: {allowed}")
            elif is_dataclass(schema_fields[key].default_factory):
                sections.append((f"{prefix}{key}.", part[key], schema_fields[key].default_factory))
    return lines


def _update(node: DictConfig, key: str, value: Any) -> None:
    try:
        if isinstance(value, list) and not isinstance(OmegaConf.select(node, key), ListConfig | None):
            raise ConfigError(f"{key}={value} is a list; it must be one value (to sweep it, write {key}=a,b)")
        with flag_override(node, "readonly", False):
            OmegaConf.update(node, key, value, merge=False, force_add=False)
    except OmegaConfBaseException as error:
        raise ConfigError(_message(error, key, value)) from error


def _message(error: OmegaConfBaseException, key: str | None = None, value: Any = None) -> str:
    name = error.full_key or key
    setting = f"{name}={value}" if value is not None else f"{name}"
    return f"{setting}: {explained(error)}"


def explained(error: OmegaConfBaseException) -> str:
    """The first line of OmegaConf's message, without its notes on types; for an unknown key, with the known ones."""
    line, *_ = [*str(error.msg or error).splitlines(), ""]
    missing = re.fullmatch(r"Key '.*' not in '(\w+)'", line.strip())
    section = getattr(schema, missing[1], None) if missing else None
    if not is_dataclass(section):
        return line.strip()
    near = nearest_key(str(error.full_key or ""))
    return f"{line.strip()}{near}; allowed: {', '.join(f.name for f in fields(section))}"


def _get(config: Any, path: list[str]) -> Any:
    for name in path:
        config = config[name] if isinstance(config, dict) else getattr(config, name)
    return config


def _set(config: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    if isinstance(config, dict):
        return {**config, name: _set(config[name], rest, value) if rest else value}
    return replace(config, **{name: _set(getattr(config, name), rest, value) if rest else value})
