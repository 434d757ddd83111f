"""`python -m bnbench reproduce`: a sweep once more, from its manifest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bnbench.cli.parser import TRACKED, VerbParser


def main(words: Sequence[str]) -> None:
    """Train a recorded sweep's trials anew and compare every digit; exits 1 if one differs, 130 on Ctrl-C."""
    from bnbench.sweep.again.reproduce import reproduce
    from bnbench.sweep.again.sample import sample_size
    from bnbench.sweep.hydra_session import hydra_sweep

    keys = [*TRACKED, "data.root", "hydra.launcher.*"]
    parser = VerbParser("reproduce", names="[manifest.json|SWEEP]", keys=keys)
    parser.add_argument("--sample", metavar="N|all", default="all", help="how many trials (default: all)")
    parser.add_argument("--into", metavar="FOLDER", type=Path, help="where to (default: a folder beside the sweep's)")
    request = parser.read(words)
    sample = sample_size(request.options.sample)
    try:
        with hydra_sweep(request.settings) as hydra:
            reproduce(request.sweep, hydra, sample, request.options.into)
    except KeyboardInterrupt:
        print("interrupted; nothing was compared", file=sys.stderr)
        sys.exit(130)
