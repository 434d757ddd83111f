"""Chooses an embedded data set where the files of the one asked for are not on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.config import Config, ConfigError
from bnbench.data import DATASETS, MissingDataError, load_data


def stand_in(config: Config, command_line: Sequence[str], cache_dir: Path) -> tuple[str, str] | None:
    """The name of the data set to train on instead, and a line that says so; None where there is no need.

    An experiment names the data its source used, and in `data.stand_in` an embedded set for machines without those
    files. Nothing is downloaded for it, and data typed on the command line are never replaced.

    Raises:
        ConfigError: If `data.stand_in` is unknown.
        DataError: If the files are there and damaged.
    """
    other, name = config.data.stand_in, config.data.name
    if other is None or any(word.partition("=")[0] == "data" for word in command_line):
        return None
    if other not in DATASETS:
        raise ConfigError(f"data.stand_in={other} is unknown; allowed: {', '.join(DATASETS)}")
    root = None if config.data.root is None else Path(config.data.root).expanduser().absolute()
    try:
        load_data(name, root=root, cache_dir=cache_dir, download=False)
    except MissingDataError:
        line = (
            f"data={other} stands in for data={name}, whose files are not here; give their folder as data.root=…, or "
            f"type data={name} to download them"
        )
        return other, line
    return None
