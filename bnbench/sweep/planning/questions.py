"""Composes the sweep that says which norms a network needs: each question as arms and contrasts, in Hydra's words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING

from bnbench.config import ConfigError, Placement

if TYPE_CHECKING:
    from bnbench.models.own import Site

_FEWEST_PARTS, _MOST_PARTS = 3, 5
_MOST_GROUPS = 32
_FEWEST_GROUPS = 2

KINDS = {
    "batch": "batch norm",
    "group": "group norm",
    "instance": "instance norm",
    "layer": "layer norm",
    "rms": "RMS norm",
}
"""The kinds that a sentence calls otherwise than `norm=` does."""


class Ask(StrEnum):
    """The questions about a network's norms."""

    none = "none"  # does it need a norm?
    placement = "placement"  # before or after the activation?
    kind = "kind"  # would another norm do?
    part = "part"  # which part could do without?


@dataclass(frozen=True)
class Question:
    """One comparison of the network as it is with a variant of it.

    Attributes:
        ask: What is asked.
        level: What the report calls the variant.
        words: The arm of the variant.
        phrase: What a sentence calls it.
        short: The part, the kind or the placement alone.
    """

    ask: Ask
    level: str
    words: tuple[str, ...]
    phrase: str
    short: str


@dataclass(frozen=True)
class Questions:
    """What is asked of a network.

    Attributes:
        base: The level that all others are compared with: "own", or "none" for a network without norms.
        base_phrase: What a sentence calls it.
        activation: What the norms' activations are, for sentences: "the ReLU".
        asked: The comparisons.
    """

    base: str
    base_phrase: str
    activation: str
    asked: list[Question]

    @property
    def overrides(self) -> list[str]:
        """The arms and contrasts as words of a command line."""
        arms = [[f"norm={self.base}"], *(list(question.words) for question in self.asked)]
        contrasts = [f"{self.base} - {question.level}" for question in self.asked]
        return [
            f"+hydra.sweeper.arms.question={json.dumps(arms)}",
            f"sweep.contrasts={json.dumps(contrasts)}",
            "sweep.compare=[norm,norm.placement,norm.without]",
        ]


def questions_about(places: Sequence[Site], asks: Iterable[Ask], kinds: Sequence[str] | None) -> Questions:
    """What can be asked of a network with these places for norms.

    Args:
        places: Where it has norms, or could have them.
        asks: What is to be asked, as far as it can be.
        kinds: Other norms to try; None for batch, layer and group norm.

    Raises:
        ConfigError: If nothing of it can be asked; one line.
    """
    asks = [*asks]
    own = [*dict.fromkeys(place.kind for place in places if place.kind != "none")]
    activations = [*dict.fromkeys(place.after or place.before for place in places if place.placement is not None)]
    tried = [kind for kind in kinds or ("batch", "layer", "group") if own != [kind]]
    asked: list[Question] = []
    if own and Ask.none in asks:
        asked.append(Question(Ask.none, "none", ("norm=none",), "no norm", ""))
    if Ask.placement in asks:
        asked += _placements(places, own, tried)
    if Ask.kind in asks or not own:
        asked += [
            Question(Ask.kind, kind, words, phrase_of(kind), kind) for kind in tried if (words := _kind(kind, places))
        ]
    if own and Ask.part in asks:
        asked += _parts(places)
    if not asked:
        raise ConfigError(
            f"advise has nothing to ask of this network with --ask {' '.join(asks)}; leave --ask out for every question"
        )
    return Questions(
        base="own" if own else "none",
        base_phrase=_own_phrase(own),
        activation=f"the {activations[0]}" if len(activations) == 1 else "the activation",
        asked=asked,
    )


def phrase_of(kind: str) -> str:
    """What a sentence calls a kind of norm."""
    return KINDS.get(kind, f"norm={kind}")


def _own_phrase(own: Sequence[str]) -> str:
    if not own:
        return "no norm"
    return phrase_of(own[0]) if len(own) == 1 else "its own norm"


def _placements(places: Sequence[Site], own: Sequence[str], tried: Sequence[str]) -> list[Question]:
    """The other side of the activation; of norms that are put in, which stand before it otherwise."""
    stands = {place.placement for place in places if place.placement is not None}
    if not own:
        kind = tried[0]
        words = (f"norm={kind}", "norm.placement=after")
        phrase = f"{phrase_of(kind)} after the activation"
        return [Question(Ask.placement, f"{kind} after", words, phrase, "after")] if stands else []
    others = [place for place in Placement if stands - {place}]
    return [
        Question(
            Ask.placement,
            f"own {place}",
            ("norm=own", f"norm.placement={place}"),
            f"{_own_phrase(own)} {place} the activation",
            place,
        )
        for place in others
    ]


def _kind(kind: str, places: Sequence[Site]) -> tuple[str, ...]:
    """The arm of another norm; empty where the channels have no number of groups in common."""
    if kind != "group":
        return (f"norm={kind}",)
    common = gcd(*(place.channels for place in places))
    groups = max((size for size in range(1, _MOST_GROUPS + 1) if common % size == 0), default=1)
    return ("norm=group", f"norm.groups={groups}") if groups >= _FEWEST_GROUPS else ()


def _parts(places: Sequence[Site]) -> list[Question]:
    """The network without the norms of one part: a stage, or a few of them."""
    found = parts_of([place.path for place in places])
    if len(found) < 2:
        return []
    return [
        Question(
            Ask.part, f"own, norm.without={part}", ("norm=own", f"norm.without='{part}'"), f"no norm in {part}", part
        )
        for part in found
    ]


def parts_of(paths: Sequence[str]) -> list[str]:
    """The parts of a network that have norms, at most five; several together are joined by `+`.

    >>> parts_of(["bn1", "layer1.0.bn1", "layer1.0.bn2", "layer2.0.bn1"])
    ['bn1', 'layer1', 'layer2']
    >>> parts_of(["features.0.1", "features.3.1"])
    ['features.0', 'features.3']
    >>> parts_of(["blocks.0.norm1", "blocks.0.norm2", "blocks.1.norm1", "norm"])
    ['blocks.0', 'blocks.1', 'norm']
    """
    depth = max(len(path.split(".")) for path in paths)
    levels = [[*dict.fromkeys(".".join(path.split(".")[:level]) for path in paths)] for level in range(1, depth + 1)]
    # Where nearly all norms lie in one part, such as a transformer's blocks, it is the parts of that which tell.
    found = next((level for least in (_FEWEST_PARTS, 2) for level in levels if len(level) >= least), levels[-1])
    if len(found) <= _MOST_PARTS:
        return found
    bounds = [round(len(found) * part / _MOST_PARTS) for part in range(_MOST_PARTS + 1)]
    return ["+".join(found[low:high]) for low, high in pairwise(bounds)]
