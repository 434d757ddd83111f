"""A sweep's sizes: its file as it stands is the quick one, and `sweep.full` makes it the full one."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import ConfigError, Size, SweepConfig
from bnbench.sweep.planning.grid import parse_override


def at_size(sweep: SweepConfig, command_line: Sequence[str]) -> list[str]:
    """The command line with the overrides of the sweep's size added, except where their keys are typed already.

    Args:
        sweep: Names the size, and what the full one sets.
        command_line: The overrides as typed.

    Raises:
        ConfigError: If the full size is asked for and the sweep has none.
    """
    if sweep.size == Size.quick:
        return [*command_line]
    if not sweep.full:
        raise ConfigError("sweep.size=full is not to be had: the sweep has no sweep.full; allowed: quick")
    typed = {parse_override(text, "the command line").key_or_group for text in command_line}
    full = {text: parse_override(text, "sweep.full").key_or_group for text in sweep.full}
    return [*command_line, *(text for text, key in full.items() if key not in typed)]
