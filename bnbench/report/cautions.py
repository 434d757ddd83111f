"""What in a sweep could mislead its reader, said before the reader has to ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bnbench.analysis import Analysis, Arm, Contrast, SweepTable
from bnbench.analysis.caveats import (
    FEW_SEEDS,
    LeftOut,
    RateChoice,
    absent_contrasts,
    choice_is_open,
    family_of,
    leaves_out_pairs,
    left_out,
    mixed_conditions,
    rate_choice,
    reported_seeds,
    sight_of,
)
from bnbench.analysis.default_targets import SHARES
from bnbench.analysis.design import LEARNING_RATE
from bnbench.analysis.outcomes import LUCK, chances
from bnbench.analysis.subjects import Subject
from bnbench.analysis.tuning import TunedRate, tuning_measure
from bnbench.record import names
from bnbench.record.planned_trial import MISSING
from bnbench.report.evaluated import validation_images
from bnbench.report.number_words import count, key_title, listing, percent, setting, span

_MOST_NAMED = 6  # with more arms than this, their trials are counted by level

_CHOSEN_BY = {
    names.VAL_ACC_FINAL: "the validation accuracy after the last step, on all validation images",
    names.ACC_BEST: "the best validation accuracy on the curve, perhaps on fewer images than there are (an older rule)",
}

_LEFT_OUT = {
    LeftOut.diverged: "diverged, left out of every accuracy and counted as not reaching any target",
    LeftOut.failed: "ended in an error and are in no number but this one",
    LeftOut.missing: "not trained yet, and so in no number; they have not failed",
}


def cautions(analysis: Analysis) -> list[str]:
    """What could mislead the reader, the gravest first, each point in a sentence or two."""
    table, parts = analysis.table, analysis.subjects
    sentences = [
        *_nothing(table),
        *_completeness(analysis),
        *_confounding(analysis),
        *(line for subject in parts for line in _failures(subject)),
        *_reasons(table),
        *(line for subject in parts for line in _edges(subject)),
        *_choice_of_rate(analysis),
        *_absent_contrasts(analysis),
        *_pairs_left_out(analysis),
        *_seeds(analysis),
        *_asked_by_claims(table),
        *_comparisons(analysis.tuned_differences, "each level at its own learning rate"),
        *_comparisons(analysis.differences, "at equal settings"),
        *(line for subject in parts for line in _power(subject)),
        *(line for subject in parts for line in _skewed(subject)),
        *_conditions(table),
        *_images(table),
        *_code(table),
        *_default_targets(table),
        *table.record.asked.notes,
    ]
    if analysis.targets:
        sentences.append(
            f"Steps to a target are to its first hit on the evaluation grid{_on_images(table)}, and an arm may lose "
            "the target again. One that did not reach it counts as infinitely many steps, as does one that diverged."
        )
    sentences.append("Trials were trained in packs, so their wall-clock times measure the packs and no trial.")
    return sentences


def _asked_by_claims(table: SweepTable) -> Iterator[str]:
    if table.record.asked.until_claims:
        yield (
            "Seeds were added where a claim was open, not where a comparison was: the verdicts on the claims allow for "
            "that, and what is said of comparisons that no claim asks for does not."
        )


def _default_targets(table: SweepTable) -> Iterator[str]:
    """Says by which rule default targets were set, and which they are."""
    ways = listing([f"{100 * share:g} %" for share in SHARES])
    for chosen in table.record.found_out.default_targets:
        of = f"{chosen.data}, {chosen.model}"
        reach = (
            f"the largest class ({percent(chosen.chance)} %) to the highest mean validation accuracy of any arm "
            f"({percent(chosen.best)} %)"
        )
        if chosen.targets:
            yield (
                f"No targets were set for {of}. By a rule fixed beforehand, which looks at no difference, they lie "
                f"{ways} of the way from {reach}: {listing([f'{target:g}' for target in chosen.targets])}. "
                "'training.targets=[…]' sets others."
            )
        else:
            yield f"No steps to a target are told of {of}, for none was set and no arm got on its way from {reach}."


def _on_images(table: SweepTable) -> str:
    """The number of validation images on which steps to a target are read; empty if it is all, or not known."""
    images = validation_images(table)
    return f", on {images[1]} of the {images[0]} validation images" if images and images[1] != images[0] else ""


def _confounding(analysis: Analysis) -> Iterator[str]:
    for key in analysis.unmatched:
        yield f"{key_title(key)} differs between the compared levels: a difference may be its doing."


def _failures(subject: Subject) -> Iterator[str]:
    for why in LeftOut:
        affected = left_out(subject.arms, why)
        lost: dict[str, list[int]] = {}  # by arm or level: number left out, and out of how many
        for arm, n, of in affected:
            sums = lost.setdefault(_arm(subject, arm) if len(affected) <= _MOST_NAMED else arm.level, [0, 0])
            sums[0], sums[1] = sums[0] + n, sums[1] + of
        if lost:
            where = "; ".join(f"{place} ({n} of {of})" for place, (n, of) in lost.items())
            meaning = _luck(subject) if why == LeftOut.collapsed else _LEFT_OUT[why]
            yield f"{_lead(subject)}{count(sum(one.n for one in affected), 'trial')} {meaning}: {where}."


def _luck(subject: Subject) -> str:
    """What `collapsed` means for the subject's test images."""
    bounds = [
        f"at most {chance.most:,} of {chance.images:,} right, where the largest class has {percent(chance.share)} %"
        for chance in chances(subject.trials)
    ]
    rule = "finished no better than naming the largest class for every test image would by luck"
    bound = f"({'; '.join(bounds[:_MOST_NAMED])}: the one-sided {100 * LUCK:g} % bound of a binomial)"
    return f"{rule} {bound}, left out of every accuracy"


def _reasons(table: SweepTable) -> Iterator[str]:
    trials = table.trials
    told = trials[trials["status"].isin(["undefined", "failed", "finished"]) & (trials["reason"] != "")]
    for (status, reason), group in told.groupby(["status", "reason"], sort=False):
        yield f"{count(len(group), 'trial')} {status}: {str(reason).strip().splitlines()[-1].rstrip('.')}."


def _edges(subject: Subject) -> Iterator[str]:
    where = "; ".join(_arm(subject, one) for one in subject.tuned if one.at_edge)
    if where:
        title = setting(subject.where)
        yield (
            f"Tuned learning rates at the edge of their grid{title and f', {title}'}: "
            f"{where}. A better one may lie beyond, so they do not settle which level is best."
        )


def _choice_of_rate(analysis: Analysis) -> Iterator[str]:
    choice = rate_choice(analysis)
    if choice == RateChoice.tuned:
        yield (
            f"Tuned learning rates were chosen on {count(len(analysis.table.record.asked.tuning_seeds), 'seed')}, by "
            f"{_CHOSEN_BY[tuning_measure(analysis.table)]}: another few seeds may choose a neighbour."
        )
    if choice_is_open(analysis):
        yield (
            "Where the trials that choose a level's learning rate are not all trained yet, none is chosen, and the "
            "level is compared at equal learning rates alone."
        )
    elif choice == RateChoice.untuned:
        yield (
            "No seeds were set aside to choose learning rates, so no level is judged at its best one: "
            "picking it on the seeds that are reported would flatter the pick."
        )
    elif choice == RateChoice.single:
        yield "Each setting was trained at a single learning rate: another may favour another level."


def _absent_contrasts(analysis: Analysis) -> Iterator[str]:
    absent = absent_contrasts(analysis)
    if absent:
        yield f"Not shown, for this sweep has only {listing(analysis.levels)}: the planned {listing(absent)}."


def _pairs_left_out(analysis: Analysis) -> Iterator[str]:
    if leaves_out_pairs(analysis):
        first, second, third, *_ = analysis.levels
        yield (
            f"Each of {len(analysis.levels) - 1} levels is compared with {first} alone. Another pair is named before "
            f"the runs: 'sweep.contrasts=[{third} - {second}]'; nothing is trained twice for it."
        )


def _seeds(analysis: Analysis) -> Iterator[str]:
    seeds = reported_seeds(analysis)
    if seeds == 0:
        yield "No seed is reported: all of them only choose learning rates."
    elif seeds == 1:
        yield "There is one seed: no interval is possible, and a difference may be chance."
    elif seeds < FEW_SEEDS:
        yield f"There are {seeds} seeds: intervals over so few are wide, and rely on near-normal differences."


def _comparisons(contrasts: Sequence[Contrast], where: str) -> Iterator[str]:
    """How many comparisons there are, and how they are corrected."""
    size, tested, exploratory = family_of(contrasts)
    settlements = [one.settlement for one in contrasts if one.settlement]
    if settlements:
        yield (
            f"Judged together, at several looks: {count(len(settlements), 'comparison')} {where}. Of such families "
            "without any effect, at most 1 in 20 shows one at any look. Estimates and intervals allow for them; each "
            "is of the pairs up to the look that settled it."
        )
    elif size > 1:
        without = f" ({size - tested} of them without a p, and counted all the same)" if tested < size else ""
        yield (
            f"{size} comparisons {where} were named before the runs and are judged as one family{without}: "
            "their p is adjusted after Holm, so that of such families without any effect 1 in 20 shows one."
        )
    if exploratory > 1:
        yield (
            f"{exploratory} comparisons {where} are exploratory, not corrected for their number: of 20 true zeros, "
            "about one 95 % interval leaves out zero."
        )


def _power(subject: Subject) -> Iterator[str]:
    """The smallest true difference that the sweep would probably have shown."""
    detectable, blind = sight_of(subject.tuned_differences or subject.differences)
    if detectable:
        low, high = percent(min(detectable)), percent(max(detectable))
        yield (
            f"{_lead(subject)}The sweep could have seen true differences of at least "
            f"{low if low == high else f'{low} to {high}'} pp in 80 of 100 repetitions: "
            "smaller ones may be there and not show."
        )
    if blind:
        what = count(blind, "comparison")
        yield f"{_lead(subject)}{what} could not have seen any difference: too few pairs are left, too far apart."


def _skewed(subject: Subject) -> Iterator[str]:
    """Where the t interval relies on a symmetry that the differences lack."""
    named = [
        f"{one.a} - {one.b} {span(one.bootstrap.low, one.bootstrap.high, signed=True)} pp, "
        f"beside {span(one.interval.low, one.interval.high, signed=True)}"
        for one in subject.tuned_differences or subject.differences
        if one.bootstrap
    ]
    if named:
        left = len(named) - _MOST_NAMED
        more = f" (and {left} more, in differences.csv)" if left > 0 else ""
        shown = "; ".join(named[:_MOST_NAMED])
        yield f"{_lead(subject)}Skewed differences, so a bootstrap-t interval beside t's: {shown}{more}."


def _completeness(analysis: Analysis) -> Iterator[str]:
    trials, planned = analysis.table.trained, len(analysis.table.reporting)
    to_come = planned - len(trials)
    if to_come:
        yield f"{to_come} of {planned} planned reporting trials are not trained yet: they are in no number below."
    finished = int((trials["status"] == "finished").sum())
    if 0 < finished < len(trials):
        arms = trials.groupby(analysis.labels.loc[trials.index], sort=False)
        shares = [f"{level} {(arm['status'] == 'finished').sum()} of {len(arm)}" for level, arm in arms]
        of = "trained" if to_come else "planned"
        yield f"Of {len(trials)} {of} reporting trials {finished} finished: {', '.join(shares)}."


def _nothing(table: SweepTable) -> Iterator[str]:
    ended = table.reporting["status"]
    if len(ended) and not (ended == "finished").any():
        words = [f"{n} {'to be trained' if s == MISSING else s}" for s, n in ended.value_counts().items()]
        yield f"No reporting trial finished ({listing(words)})."


def _code(table: SweepTable) -> Iterator[str]:
    if table.record.environment.git.get("dirty"):
        yield "The code had uncommitted changes, so its commit alone does not give these numbers again."


def _conditions(table: SweepTable) -> Iterator[str]:
    for name, values in mixed_conditions(table.record.found_out.conditions).items():
        yield f"Mixed {name.replace('_', ' ')}, so rounding may differ between trials: {listing(values)}."


def _images(table: SweepTable) -> Iterator[str]:
    trials, data = table.trials, table.record.asked.data
    if len(data) == 1:
        name = data[0].name
        split = ", and one split of it" if "data.split" in trials and {*trials["data.split"]} == {"fixed"} else ""
        vary = "weights and batch order" if split else "seeds"
        yield f"All trials use one data set, {name}{split}: the intervals cover {vary}, not other images."
    for one in data:
        yield f"{one.name} has {one.test:,} test images, so one image is {100 / one.test:.2g} pp."


def _arm(subject: Subject, arm: Arm | TunedRate) -> str:
    where = arm.where | ({LEARNING_RATE: arm.rate} if isinstance(arm, TunedRate) else {})
    at = setting({key: where[key] for key in subject.settings})
    return f"{arm.level}{at and f' at {at}'}"


def _lead(subject: Subject) -> str:
    title = setting(subject.where)
    return title and f"{title}: "
