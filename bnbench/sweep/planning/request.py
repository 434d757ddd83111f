"""Turns the words of the command line into a sweep: its name, its grid, each point's configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bnbench.config import Config, ConfigError, Until
from bnbench.config.workspace import Workspace
from bnbench.sweep.planning.compose import compose, to_config
from bnbench.sweep.planning.data_fallback import stand_in
from bnbench.sweep.planning.describe import describe_question
from bnbench.sweep.planning.full_size import at_size
from bnbench.sweep.planning.grid import Grid, expand, parse_override
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.words import useless_settings


@dataclass(frozen=True)
class SweepRequest:
    """A sweep before it is planned.

    Attributes:
        config: The configuration without what varies.
        name: The sweep's name.
        grid: What varies.
        points: Each point of the grid, as `compose.compose` yields it.
        notes: What the reader of its report must know.
    """

    config: Config
    name: str
    grid: Grid
    points: list[tuple[Config, list[str], dict[str, Any]]]
    notes: list[str]


def sweep_request(hydra: HydraSweep, command_line: Sequence[str], say: Callable[[str], None]) -> SweepRequest:
    """The sweep that the words on the command line ask for; it takes the arguments of `run_sweep`.

    Raises:
        ConfigError: If it cannot be composed.
    """
    config = hydra.settings
    name = config.sweep.name or chosen_file(command_line) or "trial"
    sized = at_size(config.sweep, command_line)
    other_data = stand_in(config, sized, Workspace.of(config).cache)
    chosen = [] if other_data is None else [f"data={other_data[0]}"]
    if other_data is not None:
        config = replace(config, data=to_config(hydra.compose(chosen)).data)
        say(other_data[1])
    for line in useless_settings(hydra.config.hydra.overrides.hydra):
        say(line)
    say(describe_question(name, config))
    _check_until(config, sized)
    params, arms = hydra.varying
    grid = expand(params, arms, [*sized, *chosen], is_group=hydra.is_group, tuning_seeds=config.sweep.tuning_seeds)
    points = list(compose(grid, hydra.compose, is_group=hydra.is_group))
    return SweepRequest(config, name, grid, points, [] if other_data is None else [f"{other_data[1]}."])


def _check_until(config: Config, words: Sequence[str]) -> None:
    """See that a sweep has its seeds from one place: from the words and its file, or from what is open.

    Raises:
        ConfigError: If words give what the other way of ending a sweep has no use for; one line each.
    """
    sweep, errors = config.sweep, []
    if sweep.until != Until.seeds:
        cap = "sweep.max_seeds" if sweep.until == Until.settled else "max_seeds of a claim"
        typed = [word for word in words if parse_override(word, "the command line").key_or_group == "seed"]
        errors += [
            f"{word} is not allowed with sweep.until={sweep.until}, which takes seeds 0, 1, 2, … where they are "
            f"needed; leave it out ({cap} caps them)"
            for word in typed
        ]
        if not sweep.compare:
            errors.append(f"sweep.until={sweep.until} needs levels to compare, and sweep.compare=[] compares none")
        if sweep.until == Until.claims and sweep.max_seeds is not None:
            errors.append(
                f"sweep.max_seeds={sweep.max_seeds} is for sweep.until=settled; a claim has max_seeds in its file"
            )
    else:
        limits = {"max_seeds": sweep.max_seeds, "max_minutes": sweep.max_minutes}
        errors += [
            f"sweep.{key}={value:g} is for sweep.until=settled; give that too, or leave it out"
            for key, value in limits.items()
            if value is not None
        ]
    if errors:
        raise ConfigError("\n".join(errors))


def chosen_file(command_line: Sequence[str]) -> str:
    """The name of the sweep or experiment file that the command line chooses; empty where it chooses none.

    Raises:
        ConfigError: If it chooses several; one line.
    """
    typed = [parse_override(text, "the command line") for text in command_line]
    chosen = [word for word in typed if word.key_or_group in ("sweep", "experiment") and not word.is_delete()]
    if len(chosen) > 1 or any(word.is_sweep_override() or isinstance(word.value(), list) for word in chosen):
        words = " ".join(str(word.input_line) for word in chosen)
        raise ConfigError(
            f"{words} names several sweeps, and one file is allowed; to run sweeps one after another, write "
            "sweep.parts=[a,b] in its place"
        )
    return str(chosen[0].value()) if chosen else ""
