"""Contrasts that print as a line: what was compared, the estimate with its unit and interval, p, pairs and verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from bnbench.analysis import Contrast
from bnbench.record import names
from bnbench.report.contrast_words import decided_by, remark
from bnbench.report.number_words import count, difference, setting


@dataclass(frozen=True, eq=False, repr=False)
class WordedContrast(Contrast):
    """A `Contrast` that prints as a line."""

    @classmethod
    def of(cls, contrast: Contrast) -> WordedContrast:
        """The same contrast, with words."""
        return cls(**{field.name: getattr(contrast, field.name) for field in fields(contrast)})

    def __str__(self) -> str:
        """What was compared, estimate with unit, 95 % interval, p value, pairs and verdict."""
        where = setting(self.where)
        compared = f"{self.a} - {self.b}, {self.measure}" + (f", at {where}" if where else "")
        if not self.n:
            return f"{compared}: {remark(self)}"
        low, high = self.interval.low, self.interval.high
        bounds = "no interval" if low is None or high is None else f"95 % interval {self._span(low, high)}"
        estimate = f"{self._amount(self.interval.mean)} {self._unit}"
        decided = "" if self.descriptive or low is None else f", {decided_by(self)}"
        return f"{compared}: {estimate} ({bounds}{decided}, {count(self.n, 'pair')}): {remark(self)}"

    __repr__ = __str__

    @property
    def _unit(self) -> str:
        try:
            unit = names.metric(self.measure).unit
        except KeyError:
            return "(of unknown unit)"
        return "pp" if unit == "fraction" else unit

    def _amount(self, value: float) -> str:
        return difference(value) if self._unit == "pp" else f"{value + 0.0:+.3g}".replace("-", "\N{MINUS SIGN}")

    def _span(self, low: float, high: float) -> str:
        return f"{self._amount(low)} to {self._amount(high)}"


class WordedContrasts(list[WordedContrast]):
    """A list of contrasts that prints one line each."""

    @classmethod
    def of(cls, contrasts: Iterable[Contrast]) -> WordedContrasts:
        """The same contrasts, with words."""
        return cls(WordedContrast.of(contrast) for contrast in contrasts)

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "no contrast"
