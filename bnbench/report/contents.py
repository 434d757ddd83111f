"""What a report says, in the order in which it is read; HTML, Markdown and LaTeX only lay it out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from bnbench.analysis import SweepTable
from bnbench.report.cautions import cautions
from bnbench.report.claims_section import ClaimSaid, claims_said
from bnbench.report.conclusion import Finding, conclude, setup_sentence
from bnbench.report.main_table import main_table
from bnbench.report.provenance import created, facts
from bnbench.report.robustness_section import Robustness, robustness_panel
from bnbench.report.subjects import subjects
from bnbench.report.table import Table
from bnbench.report.tables import arm_table, forest, subject_tables
from bnbench.report.unfinished import unfinished
from bnbench.report.window_and_time_tables import timing_tables, window_tables


@dataclass(frozen=True)
class Contents:
    """A report but its figures.

    Attributes:
        title: The question, or the sweep's name where it asks none.
        sweep: Its name and id.
        created: When it was started.
        unfinished: How much of it is done, if not all; or empty.
        setup: What was trained on what.
        findings: The conclusion.
        main: The main table; None where no trial is reported.
        forest: The differences that answer the question, to be drawn; None where nothing is compared.
        cautions: What could mislead.
        robustness: The main differences under other choices; None where there is one choice only.
        numbers: By subject, what the tables above leave out; then learning rates that train, and seconds.
        claims: The claims that the sweep was made for, judged.
        facts: What it takes to get the same numbers again.
    """

    title: str
    sweep: str
    created: str
    unfinished: str
    setup: str
    findings: list[Finding]
    main: Table | None
    forest: Table | None
    cautions: list[str]
    robustness: Robustness | None
    numbers: list[tuple[str, list[Table]]]
    claims: list[ClaimSaid]
    facts: list[tuple[str, str]]


@lru_cache(maxsize=2)  # HTML, Markdown and LaTeX of one sweep are made one after the other
def contents(table: SweepTable) -> Contents:
    """Everything that the table supports saying."""
    main, differences = main_table(table), forest(table)
    return Contents(
        title=table.record.asked.question or table.record.asked.name,
        sweep=table.record.title,
        created=created(table),
        unfinished=unfinished(table),
        setup=setup_sentence(table),
        findings=conclude(table),
        main=main,
        forest=differences,
        cautions=cautions(table),
        robustness=robustness_panel(table),
        numbers=_numbers(table),
        claims=claims_said(table),
        facts=facts(table),
    )


def _numbers(table: SweepTable) -> list[tuple[str, list[Table]]]:
    """What the main tables leave out: arms at every learning rate where these were tuned, differences with every p."""
    parts = subjects(table)
    main = () if any(len(subject.tuned) for subject in parts) else (arm_table(table, [subject]) for subject in parts)
    shown = [*main]
    found = [(one.title, [made for made in subject_tables(table, one) if made not in shown]) for one in parts]
    found += [("Learning rates", window_tables(table)), ("Time", timing_tables(table))]
    return [(title, made) for title, made in found if made]
