"""`python -m bnbench verify`: a sweep's digits checked."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import TRACKED, VerbParser


def main(words: Sequence[str]) -> None:
    """Train some of a sweep's trials again, each alone, and compare every digit with the tracking store's."""
    from bnbench.sweep.again.sample import sample_size
    from bnbench.sweep.again.verify import verify as verify_sweep

    parser = VerbParser("verify", names="[SWEEP]", keys=[*TRACKED, "data.root"])
    parser.add_argument("--sample", metavar="N|all", default="4", help="how many trials (default: 4)")
    request = parser.read(words)
    verify_sweep(request.sweep, request.config, sample_size(request.options.sample))
