"""The configuration keys a verb takes beside its own words."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import Config

__all__ = ["settings_of"]


def settings_of(words: Sequence[str]) -> Config:
    """The configuration that the words with an equals sign give."""
    from bnbench.api import compose_one

    return compose_one([word for word in words if "=" in word])
