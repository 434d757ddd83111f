"""`python -m bnbench time`: seconds per step of lone trials."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bnbench.config import ConfigError

__all__ = ["main"]

_ROUNDS = 10
_SECONDS = 0.5


def main(words: Sequence[str]) -> None:
    """Time the training step of a sweep's arms in turns, each trial alone, and record it; exits 130 on Ctrl-C."""
    rounds, seconds = _ROUNDS, _SECONDS
    overrides: list[str] = []
    rest = [*words]
    while rest:
        word = rest.pop(0)
        option, _, value = word.partition("=")
        if option in {"--rounds", "--seconds"} and (value or rest):
            value = value or rest.pop(0)
            if option == "--rounds":
                rounds = int(_number(option, value, whole=True))
            else:
                seconds = _number(option, value, whole=False)
        elif word.startswith("-") or "=" not in word:
            raise ConfigError(
                f"time {word} is not understood; allowed: time [+sweep=NAME] [KEY=VALUE …] [--rounds N] [--seconds S]"
            )
        else:
            overrides.append(word)
    from bnbench.api import hydra_sweep
    from bnbench.sweep.timing import time_sweep

    try:
        with hydra_sweep(overrides) as hydra:
            time_sweep(hydra, overrides, rounds, seconds)
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
