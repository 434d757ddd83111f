"""Suggests the nearest allowed word for one that is misspelt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from difflib import get_close_matches

from bnbench.config.schema import Config


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean …?` with the allowed word nearest to a misspelt one; empty if none is near."""
    near = get_close_matches(word, [*allowed], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def nearest_key(key: str) -> str:
    """`did_you_mean` for a configuration key, in whichever section it stands: `lr` may mean `optimizer.lr`."""
    section, _, name = key.rpartition(".")
    keys_by_name: dict[str, list[str]] = {}
    for dotted in _keys():
        keys_by_name.setdefault(dotted.rpartition(".")[2], []).append(dotted)
    near = [
        dotted for match in get_close_matches(name, keys_by_name, n=1, cutoff=0.7) for dotted in keys_by_name[match]
    ]
    same_section = [dotted for dotted in near if section and dotted.startswith(f"{section}.")]
    return f"; did you mean {' or '.join(same_section or near)}?" if near else ""


def _keys() -> Iterable[str]:
    """Every key of the schema, dotted."""
    for f in fields(Config):
        yield f.name
        if is_dataclass(f.default_factory):
            yield from (f"{f.name}.{inner.name}" for inner in fields(f.default_factory) if inner.name != "name")
