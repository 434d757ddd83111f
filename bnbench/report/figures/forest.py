"""Paired differences drawn beside their numbers: one bar per row of a table, all on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bnbench.report.table import Effect

_WIDTH, _HEIGHT = 200, 28  # as high as a row, so that the lines at zero meet
_MARGIN = 14  # room for half a number at either end


def draw_bar(effect: Effect, all_of_them: Sequence[Effect]) -> str:
    """A row's interval as an `<svg>`: hidden from screen readers, which read its numbers in the row.

    Args:
        effect: The row's effect.
        all_of_them: The effects of the whole table, which share the scale.
    """
    low, high = _range(all_of_them)
    at, zero = (_place(value, low, high) for value in (effect.mean, 0.0))
    middle = _HEIGHT // 2
    wide = _line("wide", effect.wide_low, effect.wide_high, (low, high), middle)
    line = _line("likely", effect.low, effect.high, (low, high), middle)
    kind = "firm" if effect.firm else "hollow"
    dot = f'<circle class="{kind}" cx="{at}" cy="{middle}" r="3.5"/>'
    return f'{_OPEN}<path class="zero" d="M{zero} 0V{_HEIGHT}"/>{wide}{line}{dot}</svg>'


def draw_axis(effects: Sequence[Effect]) -> str:
    """The scale above the bars, in percentage points, as an `<svg>`."""
    low, high = _range(effects)
    labels = ((_place(tick, low, high), label) for tick, label in ticks(low, high))
    return _OPEN + "".join(f'<text x="{at}" y="24">{label}</text>' for at, label in labels) + "</svg>"


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Zero and a few round numbers around it, each with its label."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    at = [round(step * i, 12) + 0.0 for i in range(first, last + 1)]
    return [(tick, f"{tick:g}".replace("-", "\N{MINUS SIGN}")) for tick in at]


_OPEN = f'<svg class="bar" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">'


def _line(kind: str, start: float, end: float, scale: tuple[float, float], middle: int) -> str:
    if math.isnan(start):
        return ""
    return f'<path class="{kind}" d="M{_place(start, *scale)} {middle}H{_place(end, *scale)}"/>'


def _range(effects: Sequence[Effect]) -> tuple[float, float]:
    values = [value for e in effects for value in e[:5] if not math.isnan(value)]
    low, high = min([0.0, *values]), max([0.0, *values])
    return (low, high) if high > low else (-1.0, 1.0)


def _place(value: float, low: float, high: float) -> str:
    return f"{_MARGIN + (_WIDTH - 2 * _MARGIN) * (value - low) / (high - low):.1f}"
