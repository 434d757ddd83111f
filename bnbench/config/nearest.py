"""What somebody may have meant by a word that nothing here is called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from difflib import get_close_matches

from bnbench.config.schema import Config


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` with the known word nearest to one that is not known; empty if none is near."""
    near = get_close_matches(word, [*known], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def nearest_key(key: str) -> str:
    """`did_you_mean` for a key of the configuration, wherever it stands: `lr` may mean `optimizer.lr`."""
    section, _, name = key.rpartition(".")
    places: dict[str, list[str]] = {}
    for known in _keys():
        places.setdefault(known.rpartition(".")[2], []).append(known)
    near = [known for close in get_close_matches(name, places, n=1, cutoff=0.7) for known in places[close]]
    same_section = [known for known in near if section and known.startswith(f"{section}.")]
    return f"; did you mean {' or '.join(same_section or near)}?" if near else ""


def _keys() -> Iterable[str]:
    for f in fields(Config):
        yield f.name
        if is_dataclass(f.default_factory):
            yield from (f"{f.name}.{inner.name}" for inner in fields(f.default_factory) if inner.name != "name")
