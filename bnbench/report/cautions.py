"""What in a sweep could mislead its reader, said before the reader has to ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bnbench.analysis import SweepTable, contrasts, level_labels, levels, strata, targets
from bnbench.analysis.default_targets import SHARES
from bnbench.analysis.levels import unmatched
from bnbench.analysis.outcomes import LUCK, chances
from bnbench.analysis.summary import ALL_PAIRS_OF
from bnbench.analysis.tuning import LEARNING_RATE, tuning_measure
from bnbench.record import names
from bnbench.record.sweep_table import MISSING
from bnbench.report.evaluated import validation_images
from bnbench.report.number_words import count, key_title, listing, percent, setting, span
from bnbench.report.subjects import Subject, subjects

_MOST_NAMED = 6  # more arms than this are summed up by level

_CHOSEN_BY = {
    names.VAL_ACC_FINAL: "the validation accuracy after the last step, on all validation images",
    names.ACC_BEST: "the best validation accuracy on the curve, perhaps on fewer images than there are (an older rule)",
}

_FEW_SEEDS = 10  # the number of reporting seeds below which the smallest effects of interest are not seen


def cautions(table: SweepTable) -> list[str]:
    """What could mislead, the gravest first, each in a sentence or two."""
    parts = subjects(table)
    found = [
        *_nothing(table),
        *_completeness(table),
        *_confounding(table),
        *(line for subject in parts for line in _failures(subject)),
        *_reasons(table),
        *(line for subject in parts for line in _edges(subject)),
        *_choice_of_rate(table, parts),
        *_absent_contrasts(table),
        *_pairs_left_out(table),
        *_seeds(table),
        *_comparisons(parts),
        *_power(parts),
        *_skewed(parts),
        *_conditions(table),
        *_images(table),
        *_code(table),
        *_default_targets(table),
        *table.record.asked.notes,
    ]
    if targets(table):
        found.append(
            f"Steps to a target are to its first hit on the evaluation grid{_on_images(table)}, and an arm may lose "
            "the target again. One that did not reach it counts as infinitely many steps, as does one that diverged."
        )
    found.append("Trials were trained in packs, so their wall-clock times measure the packs and no trial.")
    return found


def _default_targets(table: SweepTable) -> Iterator[str]:
    """Targets that no one set: by which rule, and which they are."""
    ways = listing([f"{100 * share:g} %" for share in SHARES])
    for found in table.record.found_out.default_targets:
        of = f"{found.data}, {found.model}"
        reach = (
            f"the largest class ({percent(found.chance)} %) to the highest mean validation accuracy of any arm "
            f"({percent(found.best)} %)"
        )
        if found.targets:
            yield (
                f"No targets were set for {of}. By a rule fixed beforehand, which looks at no difference, they lie "
                f"{ways} of the way from {reach}: {listing([f'{target:g}' for target in found.targets])}. "
                "'training.targets=[…]' sets others."
            )
        else:
            yield f"No steps to a target are told of {of}, for none was set and no arm got on its way from {reach}."


def _on_images(table: SweepTable) -> str:
    """On how many of the validation images steps to a target are read; nothing where on all, or not known."""
    images = validation_images(table)
    return f", on {images[1]} of the {images[0]} validation images" if images and images[1] != images[0] else ""


def _confounding(table: SweepTable) -> Iterator[str]:
    for key in unmatched(table):
        yield f"{key_title(key)} differs between the compared levels: a difference may be its doing."


def _failures(subject: Subject) -> Iterator[str]:
    if subject.arms.empty:
        return
    for status, meaning in (
        ("diverged", "diverged, left out of every accuracy and counted as not reaching any target"),
        ("collapsed", f"{_luck(subject)}, left out of every accuracy"),
        ("failed", "ended in an error and are in no number but this one"),
        (MISSING, "not trained yet, and so in no number; they have not failed"),
    ):
        rows = subject.arms[subject.arms[status] > 0]
        if rows.empty:
            continue
        rows = rows.assign(of=rows["planned"] - (0 if status == MISSING else rows[MISSING]))
        where = [f"{_arm(subject, row)} ({row[status]} of {row['of']})" for _, row in rows.iterrows()]
        if len(where) > _MOST_NAMED:
            levels = rows.groupby("level", sort=False)[[status, "of"]].sum()
            where = [f"{level} ({row[status]} of {row['of']})" for level, row in levels.iterrows()]
        yield f"{_lead(subject)}{count(rows[status].sum(), 'trial')} {meaning}: {'; '.join(where)}."


def _luck(subject: Subject) -> str:
    """What `collapsed` means for the subject's test images."""
    bounds = [
        f"at most {chance.most:,} of {chance.images:,} right, where the largest class has {percent(chance.share)} %"
        for chance in chances(subject.trials)
    ]
    rule = "finished no better than naming the largest class for every test image would by luck"
    return f"{rule} ({'; '.join(bounds[:_MOST_NAMED])}: the one-sided {100 * LUCK:g} % bound of a binomial)"


def _reasons(table: SweepTable) -> Iterator[str]:
    trials = table.trials
    told = trials[trials["status"].isin(["undefined", "failed", "finished"]) & (trials["reason"] != "")]
    for (status, reason), group in told.groupby(["status", "reason"], sort=False):
        yield f"{count(len(group), 'trial')} {status}: {str(reason).strip().splitlines()[-1].rstrip('.')}."


def _edges(subject: Subject) -> Iterator[str]:
    at_edge = subject.tuned[subject.tuned["at_edge"]] if len(subject.tuned) else subject.tuned
    if len(at_edge):
        where = "; ".join(_arm(subject, row) for _, row in at_edge.iterrows())
        yield (
            f"Tuned learning rates at the edge of their grid{f', {subject.title}' if subject.title else ''}: "
            f"{where}. A better one may lie beyond, so they do not settle which level is best."
        )


def _choice_of_rate(table: SweepTable, parts: tuple[Subject, ...]) -> Iterator[str]:
    tuned = any(len(subject.tuned) for subject in parts)
    if tuned:
        yield (
            f"Tuned learning rates were chosen on {count(len(table.record.asked.tuning_seeds), 'seed')}, by "
            f"{_CHOSEN_BY[tuning_measure(table)]}: another few seeds may choose a neighbour."
        )
    if (table.trials["tuning"].astype(bool) & (table.trials["status"] == MISSING)).any():
        yield (
            "Where the trials that choose a level's learning rate are not all trained yet, none is chosen, and the "
            "level is compared at equal learning rates alone."
        )
    elif tuned:
        return
    elif LEARNING_RATE in strata(table):
        yield (
            "No seeds were set aside to choose learning rates, so no level is judged at its best one: "
            "picking it on the seeds that are reported would flatter the pick."
        )
    else:
        yield "Each setting was trained at a single learning rate: another may favour another level."


def _absent_contrasts(table: SweepTable) -> Iterator[str]:
    present = levels(table)
    asked = table.record.asked.contrasts
    absent = [contrast for contrast in asked if not {*map(str.strip, contrast.split(" - "))} <= {*present}]
    if absent:
        yield f"Not shown, for this sweep has only {listing(present)}: the planned {listing(absent)}."


def _pairs_left_out(table: SweepTable) -> Iterator[str]:
    present, shown = levels(table), contrasts(table)
    reference = present[0] if present else ""
    if len(present) > ALL_PAIRS_OF and shown == [(level, reference) for level in present[1:]]:
        yield (
            f"Each of {len(present) - 1} levels is compared with {reference} alone. Another pair is named before the "
            f"runs: 'sweep.contrasts=[{present[2]} - {present[1]}]'; nothing is trained twice for it."
        )


def _seeds(table: SweepTable) -> Iterator[str]:
    seeds = table.trained["seed"].nunique() or table.reporting["seed"].nunique()
    if seeds == 0:
        yield "No seed is reported: all of them only choose learning rates."
    elif seeds == 1:
        yield "There is one seed: no interval is possible, and a difference may be chance."
    elif seeds < _FEW_SEEDS:
        yield f"There are {seeds} seeds: intervals over so few are wide, and rely on near-normal differences."


def _comparisons(parts: tuple[Subject, ...]) -> Iterator[str]:
    """How many comparisons are judged, and how."""
    for frames, where in (
        ([s.tuned_differences for s in parts], "each level at its own learning rate"),
        ([s.differences for s in parts], "at equal settings"),
    ):
        rows = pd.concat(frames) if any(len(frame) for frame in frames) else pd.DataFrame()
        judged = rows[rows["low"].notna()] if len(rows) else rows
        family = int(rows["family"].max()) if len(rows) else 0
        other = int((~judged["primary"].astype(bool)).sum()) if len(judged) else 0
        if family > 1:
            tested = int((rows["primary"] & rows["p_holm"].notna()).sum())
            without = f" ({family - tested} of them without a p, and counted all the same)" if tested < family else ""
            yield (
                f"{family} comparisons {where} were named before the runs and are judged as one family{without}: "
                "their p is adjusted after Holm, so that of such families without any effect 1 in 20 shows one."
            )
        if other > 1:
            yield (
                f"{other} comparisons {where} are exploratory, not corrected for their number: of 20 true zeros, "
                "about one 95 % interval leaves out zero."
            )


def _power(parts: tuple[Subject, ...]) -> Iterator[str]:
    """The smallest difference that the sweep would have shown."""
    for subject in parts:
        rows = subject.tuned_differences if len(subject.tuned_differences) else subject.differences
        known = [float(value) for value in rows["detectable"].dropna()] if len(rows) else []
        possible = [value for value in known if value <= 1]
        if possible:
            low, high = percent(min(possible)), percent(max(possible))
            yield (
                f"{_lead(subject)}The sweep could have seen true differences of at least "
                f"{low if low == high else f'{low} to {high}'} pp in 80 of 100 repetitions: "
                "smaller ones may be there and not show."
            )
        if len(possible) < len(known):
            blind = count(len(known) - len(possible), "comparison")
            yield f"{_lead(subject)}{blind} could not have seen any difference: too few pairs are left, too far apart."


def _skewed(parts: tuple[Subject, ...]) -> Iterator[str]:
    """Where the t interval leans on a symmetry that the differences do not have."""
    for subject in parts:
        rows = subject.tuned_differences if len(subject.tuned_differences) else subject.differences
        skewed = rows[rows["bootstrap_low"].notna()] if len(rows) else rows
        named = [
            f"{row['a']} - {row['b']} {span(row['bootstrap_low'], row['bootstrap_high'], signed=True)} pp, "
            f"beside {span(row['low'], row['high'], signed=True)}"
            for _, row in skewed[:_MOST_NAMED].iterrows()
        ]
        if named:
            more = f" (and {len(skewed) - len(named)} more, in differences.csv)" if len(skewed) > len(named) else ""
            yield f"{_lead(subject)}Skewed differences, so a bootstrap-t interval beside t's: {'; '.join(named)}{more}."


def _completeness(table: SweepTable) -> Iterator[str]:
    trials, planned = table.trained, len(table.reporting)
    to_come = planned - len(trials)
    if to_come:
        yield f"{to_come} of {planned} planned reporting trials are not trained yet: they are in no number below."
    finished = int((trials["status"] == "finished").sum())
    if 0 < finished < len(trials):
        arms = trials.groupby(level_labels(table).loc[trials.index], sort=False)
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
    """Whether trials were trained under unlike conditions, which round alike only within each."""
    for name, values in table.record.found_out.conditions.items():
        if len(values) < 2:
            continue
        if name == "versions":
            words = [set(value.split()) for value in values]
            values = [", ".join(sorted(words[0].union(*words) - words[0].intersection(*words)))]
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


def _arm(subject: Subject, row: pd.Series[Any]) -> str:
    at = setting({key: row[key] for key in subject.settings})
    return f"{row['level']}{f' at {at}' if at else ''}"


def _lead(subject: Subject) -> str:
    return f"{subject.title}: " if subject.title else ""
