"""Which norms a network needs, in one sentence, with the reason for each of its clauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bnbench.report.contents import Contents
from bnbench.report.headline_words import in_full
from bnbench.report.number_words import count, listing
from bnbench.report.standing import Standing, State, standings


@dataclass(frozen=True)
class Answer:
    """The answer to one question about a network's norms.

    Attributes:
        ask: "none", "placement", "kind" or "part".
        short: The placement, kind or part that was tried.
        phrase: What a sentence calls the variant.
        standing: How the comparison of the network as it is with the variant stands.
    """

    ask: str
    short: str
    phrase: str
    standing: Standing

    @property
    def equivalent(self) -> bool:
        """Whether the variant is as good."""
        return self.standing.state in {State.equal, State.equivalent}

    @property
    def better(self) -> bool:
        """Whether the variant is better."""
        return self.standing.winner == self.standing.contrast.b

    @property
    def worse(self) -> bool:
        """Whether the variant is worse."""
        return self.standing.winner == self.standing.contrast.a


def answers(contents: Contents, asked: Sequence[tuple[str, str, str, str]]) -> list[Answer]:
    """How each question stands.

    Args:
        contents: The report of the sweep, whose contrasts each have the network as it is first.
        asked: For each question what is asked, the level, its phrase, and the short form of that.
    """
    [subject, *_] = contents.analysis.subjects
    found = {one.contrast.b: one for one in standings(contents.analysis, subject, contents.choices)}
    return [Answer(ask, short, phrase, found[level]) for ask, level, phrase, short in asked if level in found]


def advice(found: Sequence[Answer], base: str, activation: str) -> str:
    """The answers as one sentence, such as "Keep batch norm, before the ReLU; group norm is equivalent within 0.5 pp.".

    Args:
        found: The answers.
        base: What the network has now: "batch norm"; "no norm" if it has none.
        activation: What its norms stand beside: "the ReLU".
    """
    clauses = [*_first(found, base, activation), *_kinds(found, base), *_parts(found)]
    sentence = "; ".join(clauses) or "Nothing can be told yet"
    return f"{sentence[0].upper()}{sentence[1:]}."


def reasons(found: Sequence[Answer], base: str) -> list[str]:
    """A line for each answer, with its numbers."""
    lines = []
    for one in found:
        name = _names(one, base)
        pairs = one.standing.contrast.n
        counted = f" ({count(pairs, 'pair')})" if pairs else ""
        lines.append(f"{one.phrase}: {in_full(one.standing, name)[0]}{counted}")
    return lines


def remedy(found: Sequence[Answer]) -> str:
    """What would tell more, where a grid of learning rates ends too early; empty where none does."""
    at_edge = sum(bool(one.standing.contrast.at_edge) for one in found)
    if not at_edge:
        return ""
    return (
        f"{at_edge} of {len(found)} comparisons are inconclusive, for a learning rate at the edge of the grid; give "
        "optimizer.lr more values on that side"
    )


def _names(one: Answer, base: str) -> Callable[[str], str]:
    return lambda level: base if level == one.standing.contrast.a else one.phrase


def _first(found: Sequence[Answer], base: str, activation: str) -> Iterator[str]:
    """Whether to keep the norms, and where they stand."""
    none = next((one for one in found if one.ask == "none"), None)
    where = _where(found, activation)
    if none is not None:
        if none.better:
            yield f"take the norms out: no norm is better than {base}"
        elif none.equivalent:
            yield f"{base} is not needed: no norm is equivalent{_within(none)}{where and f' (else{where})'}"
        elif none.worse:
            yield f"keep {base}{where and f',{where}'}"
        else:
            yield f"whether {base} is needed is open{where and f' (if so,{where})'}"
    elif where and base != "no norm":
        yield f"put {base}{where}"


def _where(found: Sequence[Answer], activation: str) -> str:
    moved = next((one for one in found if one.ask == "placement"), None)
    if moved is None:
        return ""
    other = "before" if moved.short == "after" else "after"
    faster = ", where it trains faster" if moved.standing.state == State.faster else ""  # accuracies do not tell
    if moved.better:
        return f" {moved.short} {activation}{faster}"
    if moved.worse:
        return f" {other} {activation}{faster}"
    return f" before or after {activation} alike" if moved.equivalent else ""


def _kinds(found: Sequence[Answer], base: str) -> Iterator[str]:
    tried = [one for one in found if one.ask == "kind"]
    if base == "no norm":
        tried += [one for one in found if one.ask == "placement"]
    for verb, some in (
        ("better", [one for one in tried if one.better]),
        ("equivalent", [one for one in tried if one.equivalent]),
    ):
        if some:
            be = "is" if len(some) == 1 else "are"
            than = f" than {base}" if verb == "better" else _within(some[0])
            yield f"{listing([one.phrase for one in some])} {be} {verb}{than}"
    worse = [one for one in tried if one.worse]
    if worse and len(worse) == len(tried) and base == "no norm":
        yield f"put in no norm: {listing([one.phrase for one in worse])} {'is' if len(worse) == 1 else 'are'} worse"


def _parts(found: Sequence[Answer]) -> Iterator[str]:
    parts = [one for one in found if one.ask == "part"]
    spare = [one.short for one in parts if one.equivalent or one.better]
    needed = [one.short for one in parts if one.worse]
    if spare:
        yield f"{_norms_of(spare)} not needed, each by itself"
    elif parts and len(needed) == len(parts):
        yield "every part needs its norms"
    elif needed:
        yield f"{_norms_of(needed)} needed"


def _norms_of(parts: Sequence[str]) -> str:
    several = len(parts) > 1 or "+" in parts[0]
    return f"the {'norms' if several else 'norm'} of {listing(parts)} {'are' if several else 'is'}"


def _within(one: Answer) -> str:
    margin = one.standing.contrast.margin
    return "" if margin is None else f" within {100 * margin:g} pp"
