"""Two sweeps compared: accuracies in the settings that both have, and whether their contrasts agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from bnbench.analysis import Analysis, Contrast, Interval, SweepTable
from bnbench.analysis.design import LEARNING_RATE, matching
from bnbench.analysis.significance import ALPHA
from bnbench.analysis.two_sweeps import MatchedSetting, matched_settings, same_digits, varied_in
from bnbench.analysis.verdict import Reading, judge_contrast
from bnbench.report.contrast_words import remark
from bnbench.report.markdown import escape, markdown_table
from bnbench.report.number_words import count, difference, listing, percent, setting, span
from bnbench.report.sweep_differences import unlike
from bnbench.report.table import Cell, Column, Effect, Table, make_rows
from bnbench.report.tables import setting_cells, setting_columns
from bnbench.report.unfinished import trials_done

_Both = tuple[Contrast, Contrast]  # the same contrast in the first and in the second sweep


@dataclass(frozen=True)
class Comparison:
    """Sweep a against sweep b.

    Attributes:
        title: The two sweeps' names and ids.
        file: The name of the comparison's files, without an ending.
        sentences: What the comparison shows.
        tables: A table of the settings that both have, then one of the contrasts that both have.
        cautions: What else differs between the sweeps and may explain a difference.
    """

    title: str
    file: str
    sentences: list[str]
    tables: list[Table]
    cautions: list[str]


def compare_sweeps(a: SweepTable, b: SweepTable) -> Comparison:
    """Compare two sweeps, from one store or two."""
    name_a, name_b = (table.record.title for table in (a, b))
    settings, only_a, only_b = matched_settings(a, b)
    of_a, of_b = Analysis(a), Analysis(b)
    contrasts = list(_contrasts(of_a, of_b)) if settings else []
    made = (_settings_table(of_a, b, settings), _contrasts_table(of_a, contrasts))
    return Comparison(
        title=f"{name_a} against {name_b}",
        file=f"against-{name_b}",
        sentences=[
            *_unfinished(of_a, of_b),
            *_overlap(settings, only_a, only_b),
            *_digits(a, b),
            *_setting_sentences(settings),
            *_agreement(contrasts),
        ],
        tables=[one for one in made if one is not None],
        cautions=list(unlike(a, b)),
    )


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison in GitHub's Markdown."""
    lines = [f"# {escape(comparison.title)}", "", *(f"- {escape(line)}" for line in comparison.sentences)]
    if comparison.cautions:
        lines += ["", "## What else differs", "", *(f"- {escape(line)}" for line in comparison.cautions)]
    for one in comparison.tables:
        lines += ["", *markdown_table(one)]
    return "\n".join(lines) + "\n"


def settings_data(a: SweepTable, b: SweepTable) -> pd.DataFrame:
    """One row for each setting that both have: accuracies, difference and interval, to the last bit."""
    settings, _, _ = matched_settings(a, b)
    return pd.DataFrame(
        [
            {
                **one.where,
                "n_first": one.a.n,
                "mean_first": one.a.mean,
                "n_second": one.b.n,
                "mean_second": one.b.mean,
                **one.difference._asdict(),
            }
            for one in settings
        ]
    )


def terminal_comparison(comparison: Comparison) -> str:
    """What the comparison shows, without tables, as lines of text."""
    return "\n".join([comparison.title, *(f"- {line}" for line in (*comparison.sentences, *comparison.cautions))])


def _unfinished(a: Analysis, b: Analysis) -> Iterator[str]:
    for sweep, which in ((a, "first"), (b, "second")):
        if sweep.unfinished:
            done = trials_done(sweep.table)
            yield f"{done} in the {which}: it is unfinished, and only trials that are there are compared."


def _overlap(settings: Sequence[MatchedSetting], only_a: int, only_b: int) -> Iterator[str]:
    if not settings:
        yield "The two sweeps have no setting in common: there is nothing to compare."
        return
    alone = [f"{count(n, 'setting')} only {which} has" for n, which in ((only_a, "the first"), (only_b, "the second"))]
    rest = [sentence for sentence, n in zip(alone, (only_a, only_b), strict=True) if n]
    yield f"Both have {count(len(settings), 'setting')}" + (f"; {listing(rest)} are left out." if rest else ".")


def _digits(a: SweepTable, b: SweepTable) -> Iterator[str]:
    digits = same_digits(a, b)
    if digits.one_run:
        yield f"{count(digits.one_run, 'trial')} are one and the same run, listed by both."
    if digits.trained_twice:
        yield (
            f"{digits.same} of {count(digits.trained_twice, 'trial')} trained in both gave the same digits, "
            "in every metric and every point of their curves."
        )


def _setting_sentences(settings: Sequence[MatchedSetting]) -> Iterator[str]:
    judged = sum(one.difference.n > 1 for one in settings)
    apart = [one for one in settings if one.difference.n > 1 and _leaves_out_zero(one.difference)]
    if judged:
        widest = max(settings, key=lambda one: abs(one.difference.mean) if one.difference.n else 0.0)
        where = setting({key: value for key, value in widest.where.items() if value is not None})
        at = f", at {where}" if where else ""
        yield (
            f"Test accuracy differs in {len(apart)} of {count(judged, 'setting')} (a 95 % interval that leaves out "
            f"zero; about {ALPHA * judged:.2g} would by chance); the largest difference is "
            f"{difference(widest.difference.mean)} pp{at}."
        )


def _agreement(contrasts: Sequence[_Both]) -> Iterator[str]:
    if contrasts:
        readings = [tuple(judge_contrast(one).reading for one in both) for both in contrasts]
        agree = sum(first == second for first, second in readings)
        against = sum({*both} == {Reading.a_leads, Reading.b_leads} for both in readings)
        opposite = f"; {against} contradict each other" if against else "; none contradict each other"
        yield f"{agree} of {count(len(contrasts), 'contrast')} are read the same way in both{opposite}."


def _leaves_out_zero(interval: Interval) -> bool:
    if interval.low is None or interval.high is None:  # all pairs differ by the same amount
        return interval.mean != 0
    return interval.low > 0 or interval.high < 0


def _settings_table(a: Analysis, b: SweepTable, settings: Sequence[MatchedSetting]) -> Table | None:
    keys = [key for key in varied_in(a.table, b) if len({repr(one.where[key]) for one in settings}) > 1]
    columns = (
        *setting_columns(a, keys),
        Column("first, %", numeric=True),
        Column("second, %", numeric=True, drawn=True),
        Column("difference, pp", numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
        Column("pairs", numeric=True),
    )
    cells = [
        (
            *setting_cells(one.where, keys),
            _estimate(one.a, one.trained_a),
            _estimate(one.b, one.trained_b),
            Cell(difference(one.difference.mean), 100 * one.difference.mean),
            _interval(one.difference),
            Cell(str(one.difference.n), one.difference.n),
        )
        for one in settings
    ]
    effects = [_effect(one.difference) for one in settings]
    title = "Test accuracy in both sweeps, and their difference over the seeds that both have"
    return Table(title, columns, make_rows(cells, len(keys), effects=effects)) if settings else None


def _contrasts_table(a: Analysis, contrasts: Sequence[_Both]) -> Table | None:
    keys = a.strata
    columns = (
        *setting_columns(a, keys),
        Column("difference"),
        *(column for which in ("first", "second") for column in _measured(which)),
        Column("agree"),
    )
    cells = [
        (
            *setting_cells({LEARNING_RATE: "each its own", **one.where}, keys),
            Cell(f"{one.a} - {one.b}"),
            *(cell for contrast in (one, other) for cell in (_contrast_cell(contrast), Cell(remark(contrast)))),
            Cell("yes" if judge_contrast(one).reading == judge_contrast(other).reading else "no"),
        )
        for one, other in contrasts
    ]
    return Table("Contrasts in both sweeps", columns, make_rows(cells, len(keys))) if contrasts else None


def _measured(which: str) -> list[Column]:
    return [Column("pp", numeric=True, group=which), Column("reading", group=which)]


def _contrasts(a: Analysis, b: Analysis) -> Iterator[_Both]:
    """The differences of levels that both sweeps show: those at equal learning rates, then at tuned ones."""
    if a.strata != b.strata:
        return
    for of_a, of_b in ((a.differences, b.differences), (a.tuned_differences, b.tuned_differences)):
        for one in of_a:
            others = [other for other in matching(of_b, one.where) if (other.a, other.b) == (one.a, one.b)]
            if others:
                yield one, others[0]


def _contrast_cell(contrast: Contrast) -> Cell:
    n, mean, low, high = contrast.interval
    if n == 0:
        return Cell("")
    ends = "" if low is None else f" ({span(low, high, signed=True)})"
    return Cell(difference(mean) + ends, 100 * mean)


def _estimate(interval: Interval, trained: int) -> Cell:
    if interval.n == 0:
        return Cell(f"0 of {trained} finished" if trained else "not trained yet")
    half = "" if interval.high is None else f" ± {percent(interval.high - interval.mean)}"
    missing = "" if interval.n == trained else f" ({interval.n} of {trained})"
    return Cell(percent(interval.mean) + half + missing, 100 * interval.mean)


def _interval(interval: Interval) -> Cell:
    if interval.low is None or interval.high is None:
        return Cell({0: "no pair", 1: "one seed"}.get(interval.n, "all equal"))
    return Cell(
        span(interval.low, interval.high, signed=True), 100 * interval.low, (100 * interval.low, 100 * interval.high)
    )


def _effect(interval: Interval) -> Effect | None:
    if interval.n == 0:
        return None
    nan = float("nan")
    low, high = (nan if end is None else 100 * end for end in (interval.low, interval.high))
    return Effect(100 * interval.mean, low, high, nan, nan, firm=True)
