"""The small picture below the headlines: one subject's paired differences with their intervals, on one axis.

It is drawn by hand and not by matplotlib, because its rows are lines of the page's own text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from bnbench.analysis import Analysis, Choice, Contrast
from bnbench.analysis.design import LEARNING_RATE
from bnbench.analysis.subjects import Subject
from bnbench.report.contrast_words import no_pair
from bnbench.report.figures.forest import ticks
from bnbench.report.figures.panels import MOST_PANELS, Panel, level_index
from bnbench.report.headline import MOST_HEADLINES
from bnbench.report.headline_words import Names, level_names
from bnbench.report.number_words import difference, setting, span, text
from bnbench.report.standing import Standing, State, standings

_WIDTH, _MARGIN = 340, 12  # in pixels: about a telephone's width, so that the text there has its usual size
_LINE, _BAR = 15, 17  # heights of a line of text, and of the interval below it
_LEAST_SPAN = 0.5  # percentage points that are shown at least on either side of zero
_CHARACTERS = 52  # of a line of text, about


class _Row(NamedTuple):
    """A contrast in words, and what is drawn of it, in percentage points."""

    label: str
    words: str
    interval: tuple[float, float] | None  # None where there is none
    mean: float | None  # None where no pair is left
    settled: bool
    colour: str


def draw_answers(analysis: Analysis, choices: Sequence[Sequence[Choice]]) -> list[Panel]:
    """A picture for each subject that has a headline of its own, if any of its pairs can be compared."""
    name, colours = level_names(analysis), level_index(analysis)
    panels = []
    for subject in analysis.subjects[:MOST_HEADLINES]:
        stand, where = standings(analysis, subject, choices), setting(subject.where)
        rows = [_row(one, subject, name, colours) for one in stand[:MOST_PANELS]]
        if any(row.mean is not None for row in rows):
            left_out = f"the first {MOST_PANELS} of {len(stand)} differences" if len(stand) > MOST_PANELS else ""
            panels.append(Panel(": ".join(filter(None, [where, left_out])), _draw(where, rows)))
    return panels


def _row(one: Standing, subject: Subject, name: Names, colours: Mapping[str, int]) -> _Row:
    contrast, tuned = one.contrast, bool(one.contrast.chosen)
    at = [text(contrast.where[key]) for key in subject.settings if not (tuned and key == LEARNING_RATE)]
    label = f"{name(contrast.a)} \N{MINUS SIGN} {name(contrast.b)}" + (f" at {', '.join(at)}" if at else "")
    _, mean, low, high = contrast.interval
    decided = one.state in {State.different, State.equal, State.equivalent}
    return _Row(
        label,
        _words(contrast, name),
        None if low is None or high is None else (100 * low, 100 * high),
        100 * mean if contrast.n else None,
        decided,
        f"var(--level-{colours[one.winner]})" if decided and one.winner else "var(--ink)",
    )


def _words(contrast: Contrast, name: Names) -> str:
    if contrast.descriptive:
        lost = [
            (name(side.level), side.outcomes.ended - side.outcomes.succeeded, side.outcomes.ended)
            for side in contrast.sides
        ]
        shares = ", ".join(f"{level} {n}/{ended}" for level, n, ended in lost if n)
        return f"\N{MULTIPLICATION SIGN} failed: {shares}"
    if not contrast.n:
        return no_pair(contrast)
    _, mean, low, high = contrast.interval
    interval = span(low, high, signed=True)
    return f"{difference(mean)} pp" + (f" ({interval})" if interval else "")


def _draw(where: str, rows: Sequence[_Row]) -> str:
    ends = [end for row in rows for end in (*(row.interval or ()), *([] if row.mean is None else [row.mean]))]
    low, high = min([-_LEAST_SPAN, *ends]), max([_LEAST_SPAN, *ends])

    def place(value: float) -> str:
        return f"{_MARGIN + (_WIDTH - 2 * _MARGIN) * (value - low) / (high - low):.1f}"

    parts, y = [], 0
    for row in rows:
        y += _LINE
        parts.append(f'<text x="0" y="{y - 3}"{_squeezed(row.label)}>{escape(row.label)}</text>')
        if len(row.label) + len(row.words) > _CHARACTERS:
            y += _LINE
        parts.append(f'<text class="value" x="{_WIDTH}" y="{y - 3}"{_squeezed(row.words)}>{escape(row.words)}</text>')
        if row.mean is None:
            continue
        middle, kind = y + _BAR // 2 - 1, "firm" if row.settled else "hollow"
        y += _BAR
        mark = f'<circle class="{kind}" cx="{place(row.mean)}" cy="{middle}" r="4"/>'
        if row.interval:
            start, end = map(place, row.interval)
            mark = f'<path class="likely" d="M{start} {middle}H{end}"/>{mark}'
        parts.append(f'<g style="--mark: {row.colour}">{mark}</g>')
    axis = "".join(f'<text class="tick" x="{place(at)}" y="{y + 15}">{label}</text>' for at, label in ticks(low, high))
    zero = f'<path class="zero" d="M{place(0)} 0V{y + 3}"/>'
    base = f'<path class="base" d="M0 {y + 3}H{_WIDTH}"/>'
    told = "; ".join(f"{row.label}: {row.words}" for row in rows)
    named = ", ".join(filter(None, ["Paired differences of test accuracy with 95 % intervals", where]))
    label = escape(f"{named}. {told}.")
    return (
        f'<svg class="answer" viewBox="0 0 {_WIDTH} {y + 20}" role="img" aria-label="{label}">'
        f"{zero}{base}{''.join(parts)}{axis}</svg>"
    )


def _squeezed(words: str) -> str:
    """Keeps a long text within the picture."""
    return f' textLength="{_WIDTH}" lengthAdjust="spacingAndGlyphs"' if len(words) > _CHARACTERS else ""
