"""A finished sweep in Python's hands: its tables and its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bnbench.record import names
from bnbench.record.sweep_table import SweepTable

if TYPE_CHECKING:
    from bnbench.analysis.compare import Rates
    from bnbench.report import Comparison, Contents
    from bnbench.report.worded_contrast import WordedContrasts


@dataclass(frozen=True, repr=False)
class Sweep:
    """What a sweep found.

    Attributes:
        table: Everything the tracking store holds of it.
        folder: Where its report and tables lie as files.
    """

    table: SweepTable
    folder: Path

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial: its params, how it ended, and its final metrics."""
        return self.table.trials

    @property
    def curves(self) -> pd.DataFrame:
        """One row for each trial and evaluation step."""
        return self.table.curves

    @cached_property
    def contents(self) -> Contents:
        """What its report says, worked out once."""
        from bnbench.report import Contents

        return Contents(self.table)

    def contrast(self, a: str, b: str, measure: str = names.TEST_ACC, *, rates: Rates = "matched") -> WordedContrasts:
        """The paired difference a - b of one measure, in each setting; each prints as a line.

        Args:
            a: A level, as the report names it: "after".
            b: Another: "before".
            measure: A metric key among the columns of `trials`.
            rates: "matched", at equal learning rates; "best", each level at the one that its tuning seeds chose.

        Raises:
            ValueError: If the sweep has no such level or measure.

        Example:
            >>> [one] = sweep.contrast("after", "before", measure="test/acc")  # doctest: +SKIP
            >>> print(one)  # doctest: +SKIP
            >>> one.interval, one.adjusted_p, one.detectable  # doctest: +SKIP
        """
        from bnbench.report.worded_contrast import WordedContrasts

        return WordedContrasts.of(self.contents.analysis.contrast(a, b, measure, rates=rates))

    def report(self, formats: Sequence[str] | None = None, folder: Path | None = None) -> dict[str, Path]:
        """Write the report again.

        Args:
            formats: Some of "html", "md", "tex", "csv", "figures"; None for all of them.
            folder: Where to; None for the sweep's own folder.

        Returns:
            The paths by file name.

        Raises:
            ConfigError: If the sweep has no trial, or a format is unknown.
        """
        from bnbench.report import FORMATS, write_report

        return write_report(self.contents, folder or self.folder, FORMATS if formats is None else formats)

    def compare(
        self, other: Sweep, formats: Sequence[str] | None = None, folder: Path | None = None
    ) -> tuple[Comparison, dict[str, Path]]:
        """Write how this sweep compares with another one, of this store or of another.

        Args:
            other: The second sweep.
            formats: Some of "html", "md", "tex", "csv"; None for all of them.
            folder: Where to; None for this sweep's own folder.

        Returns:
            What came out, and the paths by file name.

        Raises:
            ConfigError: If either sweep has no trial, or a format is unknown.
        """
        from bnbench.report import COMPARISON_FORMATS, write_comparison

        asked = COMPARISON_FORMATS if formats is None else formats
        return write_comparison(self.table, other.table, folder or self.folder, asked)

    def __str__(self) -> str:
        from bnbench.report import terminal_conclusion, terminal_headlines, terminal_table

        return "\n\n".join(say(self.contents, 100) for say in (terminal_conclusion, terminal_table, terminal_headlines))

    def __repr__(self) -> str:
        return f"Sweep({self.table.record.asked.name!r}, {len(self.trials)} trials, {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """The report, as a notebook shows it: in a frame, so that its style stays its own."""
        from html import escape

        from bnbench.report.html import to_html

        page = escape(to_html(self.contents), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:640px;border:0" title="bnbench report"></iframe>'
