"""`python -m bnbench list`: what there is to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.cli.parser import VerbParser


def main(words: Sequence[str]) -> None:
    """Print the sweeps, models, norms, optimizers and data sets there are."""
    from bnbench.cli.listing import listing
    from bnbench.config.folder import conf_dir

    parser = VerbParser("list", keys=())
    parser.add_argument(
        "--config-dir", metavar="FOLDER", type=Path, action="append", default=[], help="also list what is here"
    )
    print(listing([conf_dir(), *parser.read(words).options.config_dir]))
