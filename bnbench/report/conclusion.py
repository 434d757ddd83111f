"""The sweep's answer in a few plain sentences, each with its interval and its number of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis import SweepTable, contrasts, targets
from bnbench.analysis.summary import counted
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.claims import Judgment
from bnbench.record import names
from bnbench.report import claims_section as claims
from bnbench.report.number_words import count, listing, percent, setting, span, steps, text
from bnbench.report.subjects import Subject, subjects
from bnbench.report.verdict import Sentence, compare, tally


@dataclass(frozen=True)
class Finding:
    """What a sweep says about one data set and model.

    Attributes:
        subject: Which: "mnist_5k, fc, sgd"; or the claims that the sweep tests.
        sentences: One for each contrast, then what it took to reach a target, then what has no result; or one a claim.
    """

    subject: str
    sentences: tuple[Sentence, ...]


def conclude(table: SweepTable) -> list[Finding]:
    """What the table supports, subject by subject.

    Levels are compared each at its own learning rate where tuning seeds chose one, and at equal
    learning rates. A best learning rate is never picked on the reporting seeds.
    """
    findings = []
    for subject in subjects(table):
        sentences = [
            *(_contrast_sentence(subject, a, b) for a, b in contrasts(table)),
            _accuracy_sentence(subject) if subject.differences.empty else None,
            _steps_sentence(table, subject),
            _undefined_sentence(subject),
        ]
        findings.append(Finding(subject.scope, tuple(_begin(said) for said in sentences if said is not None)))
    judged = tuple(_claim_sentence(judgment) for judgment in claims.judgments(table))
    return [*findings, Finding("the claims it tests", judged)] if judged else findings


def setup_sentence(table: SweepTable) -> str:
    """What was trained on what, and on which seeds, in a sentence."""
    images = listing(
        [
            f"{one.name} ({one.train:,} training, {one.val:,} validation, {one.test:,} test images)"
            for one in table.record.asked.data
        ]
    )
    seeds, tuning = table.trained["seed"].nunique(), len(table.record.asked.tuning_seeds)
    sentence = f"Test accuracy after the last step, over {count(seeds, 'seed')}" + (f", on {images}" if images else "")
    if any(len(subject.tuned) for subject in subjects(table)):
        sentence += f"; {count(tuning, 'other seed')} chose each level's own learning rate and are not reported"
    paired = any(len(subject.differences) for subject in subjects(table))
    return f"{sentence}." + (" Levels are compared in pairs that share the seed." if paired else "")


def headline_target(table: SweepTable, rows: pd.DataFrame) -> float | None:
    """The highest target that more than half the trials of some arm reached; the lowest one if none did.

    Args:
        table: The sweep.
        rows: Rows of `analysis.arms`.

    Returns:
        The target, or None if these arms have none.
    """
    own = [target for target in targets(table) if len(rows) and rows[counted(target)].max() > 0]
    met = [target for target in own if np.isfinite(rows[names.steps_to(target)]).any()]
    return max(met) if met else min(own, default=None)


def _begin(said: Sentence) -> Sentence:
    # A label such as model.activation=relu is typed that way and keeps its letters.
    first = said.claim.split()[0]
    claim = said.claim if "=" in first else said.claim[0].upper() + said.claim[1:]
    return Sentence(claim, f"{said.evidence}.")


def _claim_sentence(judgment: Judgment) -> Sentence:
    claim = judgment.claim
    return Sentence(f"{claim.id}, {claim.title}: {claims.verdict(judgment)}", f"; {judgment.evidence}.")


def _contrast_sentence(subject: Subject, a: str, b: str) -> Sentence | None:
    matched, tuned = (_of_contrast(frame, a, b) for frame in (subject.differences, subject.tuned_differences))
    if len(tuned):
        said = _tuned_sentence(tuned, [key for key in subject.settings if key != LEARNING_RATE])
        more = f". At equal learning rates, {tally(matched, subject.settings)}" if len(matched) else ""
        return Sentence(said.claim, said.evidence + more)
    if len(matched) > 1:
        at = " at equal learning rates" if LEARNING_RATE in subject.settings else ""
        return Sentence(f"{a} against {b}", f"{at}: {tally(matched, subject.settings)}")
    if len(matched) == 1:
        at = setting({key: matched[key].iloc[0] for key in subject.settings})
        return compare(matched.iloc[0], f", at {at}" if at else "")
    return None


def _accuracy_sentence(subject: Subject) -> Sentence | None:
    """The accuracies themselves, where there is nothing to compare."""
    rows = subject.arms[subject.arms["n"] > 0] if len(subject.arms) else subject.arms
    if rows.empty:
        return Sentence("no reported trial finished", "")
    if len(rows) > 1:
        ends = f"{percent(rows['mean'].min())} to {percent(rows['mean'].max())}"
        return Sentence(f"mean test accuracy is {ends} %", f", over {len(rows)} settings")
    row = rows.iloc[0]
    seeds = count(row["n"], "seed")
    why = "one seed only: no interval possible" if row["n"] == 1 else f"all {seeds} equal: no interval"
    bounds = f"95 % interval {span(row['low'], row['high'])} %, {seeds}" if pd.notna(row["low"]) else why
    return Sentence(f"test accuracy is {percent(row['mean'])} %", f" ({bounds})")


def _tuned_sentence(rows: pd.DataFrame, conditions: list[str]) -> Sentence:
    where = ", each at its own tuned learning rate"
    if len(rows) > 1:
        return Sentence(f"{rows['a'].iloc[0]} against {rows['b'].iloc[0]}", f"{where}: {tally(rows, conditions)}")
    row = rows.iloc[0]
    rates = listing([f"{row[side]} {text(row[f'lr_{side}'])}" for side in "ab"])
    return compare(row, f"{where} ({rates})")


def _steps_sentence(table: SweepTable, subject: Subject) -> Sentence | None:
    """Median steps to one target, at the tuned learning rates or where there is nothing to choose."""
    rows = subject.arms
    if rows.empty:
        return None
    if len(subject.tuned):
        rows = subject.tuned.merge(rows)
    target = headline_target(table, rows)
    if target is None or rows["level"].duplicated().any():
        return None
    where = " at the tuned learning rates" if len(subject.tuned) else ""
    took = [_steps_of(row, target) for _, row in rows.iterrows() if row[counted(target)] > 0]
    return Sentence(
        f"median steps to {target:g} validation accuracy",
        f"{where} (trials that reached it): {', '.join(took)}",
    )


def _steps_of(row: pd.Series[Any], target: float) -> str:
    hits, n = row[names.reached(target)], row[counted(target)]
    return f"{row['level']} {steps(row[names.steps_to(target)])} ({hits:.0f} of {n:.0f})"


def _undefined_sentence(subject: Subject) -> Sentence | None:
    """Which levels have no result, and where unless it is everywhere."""
    if subject.arms.empty or not subject.arms["undefined"].any():
        return None
    places = []
    for level, rows in subject.arms.groupby("level", sort=False):
        gone = rows[rows["undefined"] > 0]
        at = "; ".join(setting({key: row[key] for key in subject.settings}) for _, row in gone.iterrows())
        if len(gone):
            places.append(str(level) if len(gone) == len(rows) else f"{level} at {at}")
    return Sentence("undefined, so without any result", f": {listing(places)}")


def _of_contrast(frame: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    return frame if frame.empty else frame[(frame["a"] == a) & (frame["b"] == b)]
