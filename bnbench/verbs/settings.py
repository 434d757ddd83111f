"""The configuration keys a verb takes beside its own words."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import Config, ConfigError

__all__ = ["TRACKED", "one_sweep", "settings_of"]

TRACKED = ("runs_dir=", "tracking.")
"""What a word that says where results are starts with."""


def settings_of(words: Sequence[str]) -> Config:
    """The configuration that the words with an equals sign give."""
    from bnbench.api import compose_one

    return compose_one([word for word in words if "=" in word])


def one_sweep(verb: str, words: Sequence[str]) -> tuple[str, Config]:
    """The sweep that a verb's words name, `latest` by default, and where results are.

    Raises:
        ConfigError: If there is anything else among the words.
    """
    named = [word for word in words if not word.startswith(TRACKED)]
    wrong = [word for word in named if word.startswith("-") or "=" in word] or named[1:]
    if wrong:
        raise ConfigError(
            f"{verb} {wrong[0]} is not understood; allowed: {verb} [SWEEP] [runs_dir=…] [tracking.uri=…] "
            "[tracking.experiment=…]"
        )
    return (named or ["latest"])[0], settings_of([word for word in words if word not in named])
