"""`python -m bnbench list`: what there is to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.config import ConfigError

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Print the sweeps, models, norms and data sets there are."""
    from bnbench.confdir import conf_dir
    from bnbench.listing import listing

    rest = [*words]
    folders = [conf_dir()]
    while rest:
        word = rest.pop(0)
        if word != "--config-dir" or not rest:
            raise ConfigError(f"list {word} is not understood; allowed: list [--config-dir FOLDER]")
        folders.append(Path(rest.pop(0)))
    print(listing(folders))
