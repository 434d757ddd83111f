"""The sweep's answer in a few plain sentences, each with its interval and its number of pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bnbench.analysis import Analysis, Arm, Contrast
from bnbench.analysis.arms import Reach
from bnbench.analysis.design import LEARNING_RATE, matching
from bnbench.analysis.subjects import Subject
from bnbench.claims import Judgment
from bnbench.report import claims_section as claims
from bnbench.report.contrast_words import Sentence, compare, tally
from bnbench.report.number_words import count, listing, percent, setting, span, steps, text

_SCOPE = ("data", "model", "optimizer")


@dataclass(frozen=True)
class Conclusion:
    """What a sweep says about one data set and model.

    Attributes:
        subject: The data set, model and optimizer, such as "mnist_5k, fc, sgd"; or "the claims it tests".
        sentences: One for each contrast, then one on steps to a target and one on levels without result; or one for
            each claim.
    """

    subject: str
    sentences: tuple[Sentence, ...]


def conclude(analysis: Analysis, judgments: Sequence[Judgment]) -> list[Conclusion]:
    """What a sweep supports, subject by subject, and the verdicts on the claims it was made for.

    Levels are compared each at its own learning rate where tuning seeds chose one, and at equal
    learning rates. A best learning rate is never picked on the reporting seeds.

    A sweep that went on until its claims were settled says what it found of them first, and nothing of subjects for
    which no claim asks, as no seed but the tuning ones was trained there.
    """
    by_claims = analysis.table.record.asked.until_claims
    conclusions = []
    for subject in analysis.subjects:
        if by_claims and not any(arm.accuracy.n for arm in subject.arms):
            continue
        sentences = [
            *(_contrast_sentence(subject, a, b) for a, b in analysis.pairs),
            None if subject.differences else accuracy_sentence(subject),
            _steps_sentence(subject),
            _undefined_sentence(subject),
        ]
        conclusions.append(
            Conclusion(_scope(subject), tuple(_begin(sentence) for sentence in sentences if sentence is not None))
        )
    judged = tuple(_claim_sentence(judgment) for judgment in judgments)
    claimed = [Conclusion("the claims it tests", judged)] if judged else []
    return [*claimed, *conclusions] if by_claims else [*conclusions, *claimed]


def setup_sentence(analysis: Analysis) -> str:
    """What was trained on which images, and over how many seeds, in a sentence."""
    table = analysis.table
    images = listing(
        [
            f"{one.name} ({one.train:,} training, {one.val:,} validation, {one.test:,} test images)"
            for one in table.record.asked.data
        ]
    )
    seeds, tuning = count(table.trained["seed"].nunique(), "seed"), len(table.record.asked.tuning_seeds)
    if table.record.asked.looks:
        seeds = f"up to {seeds}, added where a question was open"
    sentence = f"Test accuracy after the last step, over {seeds}" + (f", on {images}" if images else "")
    if analysis.tuned:
        sentence += f"; {count(tuning, 'other seed')} chose each level's own learning rate and are not reported"
    return f"{sentence}." + (" Levels are compared in pairs that share the seed." if analysis.differences else "")


def accuracy_sentence(subject: Subject) -> Sentence:
    """States the accuracies themselves, where there is nothing to compare."""
    accuracies = [arm.accuracy for arm in subject.arms if arm.accuracy.n]
    if not accuracies:
        return Sentence("no reported trial finished", "")
    if len(accuracies) > 1:
        means = [accuracy.mean for accuracy in accuracies]
        return Sentence(
            f"mean test accuracy is {percent(min(means))} to {percent(max(means))} %",
            f", over {len(accuracies)} settings",
        )
    n, mean, low, high = accuracies[0]
    seeds = count(n, "seed")
    why = "one seed only: no interval possible" if n == 1 else f"all {seeds} equal: no interval"
    bounds = why if low is None else f"95 % interval {span(low, high)} %, {seeds}"
    return Sentence(f"test accuracy is {percent(mean)} %", f" ({bounds})")


def headline_target(arms: Sequence[Arm]) -> float | None:
    """The highest target that more than half the trials of some arm reached; the lowest one if none did.

    Returns:
        The target, or None if these arms have none.
    """
    reaches = [(target, reach) for arm in arms for target, reach in arm.reaches.items() if reach.n]
    met = [target for target, reach in reaches if math.isfinite(reach.median_steps)]
    return max(met) if met else min((target for target, _ in reaches), default=None)


def steps_to_target(subject: Subject) -> tuple[float, dict[str, Reach]] | None:
    """The headline target, and how each level fared on the way to it, at tuned rates if any.

    Returns:
        None without a target, or where a level has more arms than one.
    """
    arms = subject.arms
    if subject.tuned:
        arms = [
            arm
            for one in subject.tuned
            for arm in matching(subject.arms, {**one.where, LEARNING_RATE: one.rate})
            if arm.level == one.level
        ]
    target = headline_target(arms)
    if target is None or len({arm.level for arm in arms}) < len(arms):
        return None
    return target, {arm.level: arm.reaches[target] for arm in arms if arm.reaches[target].n}


def _scope(subject: Subject) -> str:
    """A subject's data set, model and optimizer in words, whether or not they vary in the sweep."""
    trials = subject.trials
    named = [str(trials[key].iloc[0]) for key in _SCOPE if key in trials and trials[key].nunique() == 1]
    others = setting({key: value for key, value in subject.where.items() if key not in _SCOPE})
    return ", ".join(filter(None, [*named, others]))


def _begin(sentence: Sentence) -> Sentence:
    # A label such as model.activation=relu is typed that way and keeps its letters.
    first = sentence.claim.split()[0]
    claim = sentence.claim if "=" in first else sentence.claim[0].upper() + sentence.claim[1:]
    return Sentence(claim, f"{sentence.evidence}.")


def _claim_sentence(judgment: Judgment) -> Sentence:
    claim = judgment.claim
    return Sentence(f"{claim.id}, {claim.title}: {claims.verdict(judgment)}", f"; {judgment.evidence}.")


def _contrast_sentence(subject: Subject, a: str, b: str) -> Sentence | None:
    matched, tuned = (
        [one for one in found if (one.a, one.b) == (a, b)] for found in (subject.differences, subject.tuned_differences)
    )
    if tuned:
        sentence = _tuned_sentence(tuned, [key for key in subject.settings if key != LEARNING_RATE])
        more = f". At equal learning rates, {tally(matched, subject.settings)}" if matched else ""
        return Sentence(sentence.claim, sentence.evidence + more)
    if len(matched) > 1:
        at = " at equal learning rates" if LEARNING_RATE in subject.settings else ""
        return Sentence(f"{a} against {b}", f"{at}: {tally(matched, subject.settings)}")
    if matched:
        at = setting({key: matched[0].where[key] for key in subject.settings})
        return compare(matched[0], f", at {at}" if at else "")
    return None


def _tuned_sentence(contrasts: Sequence[Contrast], conditions: Sequence[str]) -> Sentence:
    where, first = ", each at its own tuned learning rate", contrasts[0]
    if len(contrasts) > 1:
        return Sentence(f"{first.a} against {first.b}", f"{where}: {tally(contrasts, conditions)}")
    rates = listing([f"{side.level} {text(side.tuned.rate)}" for side in first.sides if side.tuned])
    return compare(first, f"{where} ({rates})")


def _steps_sentence(subject: Subject) -> Sentence | None:
    """Each level's median steps to one target; None where there are none to tell."""
    found = steps_to_target(subject)
    if found is None:
        return None
    target, reached = found
    where = " at the tuned learning rates" if subject.tuned else ""
    took = [f"{level} {steps(reach.median_steps)} ({reach.hits} of {reach.n})" for level, reach in reached.items()]
    return Sentence(
        f"median steps to {target:g} validation accuracy",
        f"{where} (trials that reached it): {', '.join(took)}",
    )


def _undefined_sentence(subject: Subject) -> Sentence | None:
    """Which levels have no result, and where unless it is everywhere."""
    places = []
    for level in dict.fromkeys(arm.level for arm in subject.arms):
        arms = [arm for arm in subject.arms if arm.level == level]
        gone = [arm for arm in arms if arm.outcomes.undefined]
        at = "; ".join(setting({key: arm.where[key] for key in subject.settings}) for arm in gone)
        if gone:
            places.append(level if len(gone) == len(arms) else f"{level} at {at}")
    return Sentence("undefined, so without any result", f": {listing(places)}") if places else None
