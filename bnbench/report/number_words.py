"""Numbers, settings and lists in words, the same in every form of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

_TITLES = {
    "optimizer.lr": "learning rate",
    "training.batch_size": "batch size",
    "data": "data",
    "model": "model",
}


def percent(fraction: float) -> str:
    """A fraction in percent.

    >>> percent(0.97123)
    '97.12'
    """
    return "" if pd.isna(fraction) else f"{100 * fraction:.2f}"


def difference(fraction: float) -> str:
    """A difference of fractions in percentage points, with its sign.

    >>> difference(0.0042), difference(-0.00001)
    ('+0.42', '+0.00')
    """
    # Adding zero turns a rounded -0.0 into 0.0.
    return "" if pd.isna(fraction) else f"{round(100 * fraction, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def number(value: float) -> str:
    """A number to two digits after the point, with its sign.

    >>> number(0.5), number(-0.001)
    ('+0.50', '+0.00')
    """
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def p_value(p: float) -> str:
    """A p value to two digits, without its leading zero.

    >>> p_value(0.00612), p_value(0.3), p_value(2e-9), p_value(1.0)
    ('.0061', '.30', '<.0001', '1')
    """
    if pd.isna(p):
        return ""
    if p < 0.0001:
        return "<.0001"
    digits = 2 if p >= 0.1 else 1 - int(np.floor(np.log10(p)))
    shown = f"{p:.{digits}f}"
    return "1" if shown.startswith("1") else shown.removeprefix("0")


def span(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """An interval of fractions, in percent or percentage points; empty where there is none."""
    if low is None or high is None:
        return ""
    one = difference if signed else percent
    return f"{one(low)} to {one(high)}"


def steps(median: float) -> str:
    """A median number of steps; infinity, where at least half of the trials missed the target, reads "not reached"."""
    if pd.isna(median):
        return ""
    return "not reached" if median == float("inf") else f"{median:,.0f}"


def count(number: float, noun: str) -> str:
    """A number with its noun in the right form.

    >>> count(1, "pair"), count(3500, "pair")
    ('1 pair', '3,500 pairs')
    """
    return f"{number:,.0f} {noun}" + ("" if number == 1 else "s")


def text(value: Any) -> str:
    """A param's value as it is typed on the command line; empty where a trial has none."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def key_title(key: str) -> str:
    """A param's name for a column head: a plain word for the best known, the dotted key for the rest."""
    return _TITLES.get(key, key)


def setting(values: Mapping[str, Any]) -> str:
    """The values of some params in words.

    >>> setting({"training.batch_size": 8, "optimizer.lr": 0.1})
    'batch size 8, learning rate 0.1'
    >>> setting({"model": "fc", "model.activation": "tanh"})
    'fc, model.activation=tanh'
    """
    return ", ".join(_one_setting(key, text(value)) for key, value in values.items())


def _one_setting(key: str, value: str) -> str:
    if key in {"data", "model"}:
        return value
    return f"{_TITLES[key]} {value}" if key in _TITLES else f"{key}={value}"


def listing(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    >>> listing(["0.03", "0.1", "0.3"])
    '0.03, 0.1 and 0.3'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
