"""`python -m bnbench time`: seconds per step of lone trials."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError


def main(words: Sequence[str]) -> None:
    """Time the training step of a sweep's arms in turns, each trial alone, and record it; exits 130 on Ctrl-C."""
    parser = VerbParser("time", keys=["*"])
    parser.add_argument("--rounds", metavar="N", default="10", help="turns of each arm (default: 10)")
    parser.add_argument("--seconds", metavar="S", default="0.5", help="of one turn (default: 0.5)")
    request = parser.read(words)
    rounds = int(_number("--rounds", request.options.rounds, whole=True))
    seconds = _number("--seconds", request.options.seconds, whole=False)
    from bnbench.bench.time_arms import time_arms
    from bnbench.sweep.hydra_session import hydra_sweep

    try:
        with hydra_sweep(request.settings) as hydra:
            time_arms(hydra, request.settings, rounds, seconds)
    except KeyboardInterrupt:
        print("interrupted; nothing is kept", file=sys.stderr)
        sys.exit(130)


def _number(option: str, text: str, *, whole: bool) -> float:
    allowed = "a whole number >= 2" if whole else "a number of seconds > 0"
    try:
        value = float(int(text) if whole else text)
    except ValueError:
        value = 0.0
    if not (2 if whole else 0) <= value < float("inf") or not value:
        raise ConfigError(f"time {option} {text} is not allowed; it must be {allowed}")
    return value
