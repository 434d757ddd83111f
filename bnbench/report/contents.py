"""What a report says, in reading order; HTML, Markdown and LaTeX only lay it out."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from bnbench.analysis import Analysis, Choice, SweepTable
from bnbench.claims import Judgment
from bnbench.report.cautions import cautions
from bnbench.report.claims_section import ClaimSaid, claims_said, judge_claims
from bnbench.report.conclusion import Conclusion, conclude, setup_sentence
from bnbench.report.figures import Figure, draw_figures
from bnbench.report.headline import Headline, headlines
from bnbench.report.headline_claims import claim_headlines
from bnbench.report.main_table import main_table
from bnbench.report.number_words import setting
from bnbench.report.provenance import created, facts
from bnbench.report.robustness_section import RobustnessPanel, main_choices, robustness_panel
from bnbench.report.table import Table
from bnbench.report.tables import arm_table, forest, subject_tables
from bnbench.report.unfinished import running, unfinished
from bnbench.report.window_and_time_tables import timing_tables, window_tables


class Contents:
    """Everything that a report says of a sweep; each part is made once, when it is first asked for.

    Attributes:
        table: The sweep, which must not change any more.
        as_of: When this was found, of a sweep that is still being trained; else None.
        analysis: What the statistics say of it.
    """

    def __init__(self, table: SweepTable, as_of: datetime | None = None) -> None:
        self.table = table
        self.as_of = as_of
        self.analysis = Analysis(table)

    @property
    def title(self) -> str:
        """The sweep's question, or its name where it asks none."""
        return self.table.record.asked.question or self.table.record.asked.name

    @property
    def sweep(self) -> str:
        """The sweep's name and id."""
        return self.table.record.title

    @property
    def created(self) -> str:
        """When the sweep was started."""
        return created(self.table)

    @property
    def unfinished(self) -> str:
        """How many of the sweep's trials are done; empty if all are, unless more may follow."""
        return unfinished(self.analysis) if self.as_of is None else running(self.analysis, self.as_of)

    @property
    def setup(self) -> str:
        """What was trained on what data, in a sentence."""
        return setup_sentence(self.analysis)

    @cached_property
    def headlines(self) -> list[Headline]:
        """The answers: a sentence a subject, or a claim where the sweep went on until its claims were settled."""
        if self.table.record.asked.until_claims:
            return claim_headlines(self._judgments)
        return headlines(self.analysis, self.choices)

    @cached_property
    def conclusions(self) -> list[Conclusion]:
        """What the sweep supports, subject by subject, and its claims' verdicts."""
        return conclude(self.analysis, self._judgments)

    @cached_property
    def main(self) -> Table | None:
        """The main table; None where no trial is reported."""
        return main_table(self.analysis)

    @cached_property
    def forest(self) -> Table | None:
        """The differences that answer the question, to be drawn; None where nothing is compared."""
        return forest(self.analysis)

    @cached_property
    def cautions(self) -> list[str]:
        """What could mislead the reader."""
        return cautions(self.analysis)

    @cached_property
    def choices(self) -> list[list[Choice]]:
        """The main differences under every choice, by contrast and stratum."""
        return main_choices(self.analysis)

    @cached_property
    def robustness(self) -> RobustnessPanel | None:
        """How the main differences hold under other choices; None where there is one choice only."""
        return robustness_panel(self.analysis, self.choices)

    @cached_property
    def figures(self) -> list[Figure]:
        """Every chart that the sweep has data for."""
        return draw_figures(self.analysis)

    @cached_property
    def numbers(self) -> list[tuple[str, list[Table]]]:
        """Titled groups of further tables: one group per subject, then learning rates that train, and seconds.

        A subject's group has its differences with every p value and, where learning rates were tuned, its arms at each.
        """
        parts = self.analysis.subjects
        shown = [] if self.analysis.tuned else [arm_table(self.analysis, [subject]) for subject in parts]
        titled = [
            (setting(one.where), [table for table in subject_tables(self.analysis, one) if table not in shown])
            for one in parts
        ]
        titled += [("Learning rates", window_tables(self.analysis)), ("Time", timing_tables(self.analysis))]
        return [(title, table) for title, table in titled if table]

    @cached_property
    def claims(self) -> list[ClaimSaid]:
        """The claims that the sweep was made for, judged."""
        return claims_said(self._judgments)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What it takes to get the same numbers again, as (name, value) pairs."""
        return facts(self.table)

    @cached_property
    def _judgments(self) -> list[Judgment]:
        return judge_claims(self.analysis)
