"""`python -m bnbench advise`: which norms a network of one's own needs."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError

if TYPE_CHECKING:
    from bnbench.models.own import Site
    from bnbench.sweep.planning.questions import Questions
    from bnbench.sweep.running.published import Sweep

_USUAL = {
    "model": "model=custom",
    "sweep.name": "sweep.name=advise",
    "sweep.question": "'sweep.question=\"Which norms does this network need?\"'",
    "sweep.until": "sweep.until=settled",
    "sweep.margin_pp": "sweep.margin_pp=0.5",
    "sweep.max_seeds": "sweep.max_seeds=24",
    "sweep.max_minutes": "sweep.max_minutes=60",
    "sweep.tuning_seeds": "sweep.tuning_seeds=[100,101,102]",
    "optimizer": "optimizer=momentum",
    "optimizer.lr": "optimizer.lr=0.003,0.01,0.03,0.1",
}
"""What is used where the user types nothing else, by key."""

_DECIDED = ("norm", "norm.placement", "norm.without", "seed", "sweep.compare", "sweep.contrasts")
"""The keys that the questions decide."""


def main(words: Sequence[str]) -> None:
    """Find a network's norms, train it with and without each of them, and say what it needs."""
    parser = VerbParser("advise", keys=["*"])
    parser.add_argument("--sites", action="store_true", help="only list the network's norms")
    parser.add_argument("--ask", metavar="QUESTIONS", default="none,placement,kind,part", help="some of the questions")
    parser.add_argument(
        "--norms", metavar="NORMS", default="", help="the other norms to try (default: batch,layer,group)"
    )
    request = parser.read(words)
    typed = _checked(request.settings)
    from bnbench.config.norm_catalog import NORMS
    from bnbench.data import dataset_info
    from bnbench.models.own import survey
    from bnbench.sweep.hydra_session import compose_one, hydra_sweep
    from bnbench.sweep.planning.questions import Ask, questions_about

    asks = [Ask(ask) for ask in _some(request.options.ask, [*Ask], "--ask")]
    norms = _some(request.options.norms, [name for name in NORMS if name != "none"], "--norms")
    config = compose_one(
        ["model=custom", *(word for key, word in typed.items() if key not in ("model", "optimizer.lr"))]
    )
    info = dataset_info(config.data)
    places = survey(config.model, info.shape, info.classes).places
    print("\n".join(sites_table(places)))
    if request.options.sites:
        return
    questions = questions_about(places, asks, norms or None)
    usual = [shlex.split(word)[0] for key, word in _USUAL.items() if key not in typed]
    overrides = [*usual, *typed.values(), *questions.overrides]
    from bnbench.sweep.running.run import run_sweep

    with hydra_sweep(overrides) as hydra:
        task = [*hydra.config.hydra.overrides.task]
        sweep = run_sweep(hydra, task, command=["advise", *words])
    if sweep is not None:
        print(_advice(sweep, questions, places))


def sites_table(places: Sequence[Site]) -> Iterator[str]:
    """A network's norms as aligned text: where each is, what it normalizes, its layer and its activation."""
    rows = _site_rows(places)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _site_rows(places: Sequence[Site]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("norm", "kind", "input", "layer before", "activation", "may move")]
    rows += [
        (
            place.path if place.kind != "none" else f"(behind {place.path})",
            place.class_name or "none yet",
            " x ".join(map(str, place.shape)),
            place.layer or "-",
            f"{place.after} after it" if place.after else f"{place.before} before it" if place.before else "-",
            "after" if place.can_be_after else "before" if place.can_be_before else f"no: {place.why_not}",
        )
        for place in places
    ]
    return rows


def _checked(settings: Sequence[str]) -> dict[str, str]:
    """The words by key.

    Raises:
        ConfigError: If a network is missing, a word is of a key that the questions decide, or has several values.
    """
    from bnbench.sweep.planning.grid import parse_override

    typed = {word.partition("=")[0].lstrip("+"): word for word in settings}
    if "model.factory" not in typed:
        raise ConfigError("advise needs a network; give model.factory=package.module:function")
    for key, word in typed.items():
        if key in _DECIDED:
            raise ConfigError(f"{word} is not for advise, whose questions decide {key}; leave it out")
        if key == "model" and word != "model=custom":
            raise ConfigError(f"{word} is not for advise, which asks about model=custom; leave it out")
        if parse_override(word, "the command line").is_sweep_override() and key != "optimizer.lr":
            raise ConfigError(f"{word} has several values, and advise answers for one setting; give {key} one value")
    return typed


def _some(text: str, allowed: Sequence[str], option: str) -> list[str]:
    chosen = [word for word in text.split(",") if word]
    wrong = [word for word in chosen if word not in allowed]
    if wrong:
        raise ConfigError(f"advise {option} {wrong[0]} is unknown; allowed: {', '.join(allowed)}")
    return chosen


def _advice(sweep: Sweep, questions: Questions, places: Sequence[Site]) -> str:
    """The sentence with its reasons as text; they are written as a page beside the sweep's report too."""
    from bnbench.report.advice import advice, answers, reasons, remedy
    from bnbench.report.advice_page import write_advice

    base, activation = questions.base_phrase, questions.activation
    told = [(one.ask, one.level, one.phrase, one.short) for one in questions.asked]
    found = answers(sweep.contents, told)
    lines = [f"- {line}" for line in reasons(found, base)]
    page = write_advice(sweep.contents, found, base, activation, _site_rows(places), sweep.folder)
    paragraphs = [advice(found, base, activation), *lines, *filter(None, [remedy(found)])]
    return "\n".join(
        ["", *(textwrap.fill(line, 100, subsequent_indent="  ") for line in paragraphs), f"advice: {page}"]
    )
