"""Headlines: short, whatever a sweep is like, and never another answer than the conclusion's verdicts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnbench.analysis import Analysis, SweepTable
from bnbench.analysis.verdict import better_level
from bnbench.config.folder import conf_dir
from bnbench.record import names
from bnbench.record.planned_trial import MISSING
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.report import Contents
from bnbench.report.headline import MOST_HEADLINES, MOST_WORDS, headlines
from bnbench.report.standing import State, standings
from bnbench.sweep.hydra_session import hydra_sweep
from bnbench.sweep.planning.describe import varied_keys
from bnbench.sweep.planning.file_trials import trials_of_file
from bnbench.sweep.planning.norm_rules import undefined_reason

MakeSweep = Callable[..., SweepTable]

LRS = {"optimizer.lr": (0.1, 0.3, 1.0)}
FILES = sorted(file for file in (conf_dir() / "sweep").glob("*.yaml") if file.stem != "claims")  # it has parts only
PLACEMENT = {"contrasts": ["before - after", "before - none", "after - none"]}


def said(table: SweepTable) -> list[str]:
    return [*map(str, Contents(table).headlines)]


def accuracies(none: float = 0.9, before: float = 0.9, after: float = 0.9) -> Callable[[dict[str, Any], str], float]:
    return lambda params, level: {"none": none, "before": before, "after": after}[level]


def test_a_winner_is_told_with_its_lead_and_interval(make_sweep: MakeSweep) -> None:
    table = make_sweep(level_names=("none", "before"), accuracy=accuracies(before=0.93), meta={"contrasts": []})
    (contrast,) = Analysis(table).differences
    _, mean, low, high = contrast.interval
    assert low is not None
    assert high is not None
    assert said(table) == [f"Batch beats no norm by {100 * mean:.2f} pp ({100 * low:.2f} to {100 * high:.2f})."]


def test_the_winner_is_the_same_whichever_way_round_the_contrast_is_named(make_sweep: MakeSweep) -> None:
    one, other = (
        said(make_sweep(level_names=("none", "before"), accuracy=accuracies(before=0.93), meta={"contrasts": [named]}))
        for named in ("batch - none", "none - batch")
    )
    assert one == other
    assert one[0].startswith("Batch beats no norm by ")


def test_where_none_can_be_told_the_interval_says_how_near_they_are(make_sweep: MakeSweep) -> None:
    (headline,) = said(make_sweep(accuracy=accuracies(none=0.8), meta=PLACEMENT))
    assert re.fullmatch(
        r"Cannot tell before from after \([+−]0\.\d\d pp, −\d\.\d\d to \+\d\.\d\d\); both beat no norm\.", headline
    )


def test_a_lead_that_settles_nothing_is_called_inconclusive(make_sweep: MakeSweep) -> None:
    (headline,) = said(make_sweep(level_names=("none", "before"), accuracy=accuracies(before=0.95), seeds=(0, 1, 2)))
    assert re.fullmatch(r"Batch is ahead of no norm by .* pp \(.*\), inconclusive: too few seeds\.", headline)


def test_failures_that_decide_are_counted(make_sweep: MakeSweep) -> None:
    failing = {"status": lambda params, level: "diverged" if level == "none" else "finished"}
    two = said(make_sweep(level_names=("none", "before"), **failing))
    assert two == ["Batch trained in 10 of 10 seeds, no norm in 0 of 10."]
    (three,) = said(make_sweep(meta=PLACEMENT, **failing))
    assert three.endswith("; no norm failed in all 10 seeds.")


def test_failures_that_decide_nothing_are_counted_too(make_sweep: MakeSweep) -> None:
    table = make_sweep(
        level_names=("none", "before"),
        status=lambda params, level: "diverged" if level == "none" and params["seed"] < 2 else "finished",
        targets=(),
    )
    assert said(table) == ["Cannot tell batch from no norm (no norm failed in 2 of 10 seeds)."]


def slower(table: SweepTable, level: str, steps: float) -> SweepTable:
    """The sweep with this level's steps to 0.8 all equal, and those of the others between 70 and 84."""
    trials = table.trials
    is_level = (trials["norm"] == "none") == (level == "none")
    trials[names.reached(0.8)] = 1.0
    trials[names.steps_to(0.8)] = np.where(is_level, steps, 72.0 + (trials["seed"] % 3 - 1) * 2)
    return table


def test_steps_stand_beside_accuracies_that_tell_nothing(make_sweep: MakeSweep) -> None:
    one = said(slower(make_sweep(level_names=("none", "before"), targets=(0.8,)), "none", 326.0))
    assert re.fullmatch(
        r"Cannot tell batch from no norm \(.* pp, .* to .*\), but batch needs 72 steps against 326\.", one[0]
    )
    three = said(slower(make_sweep(targets=(0.8,), meta=PLACEMENT), "none", 326.0))
    assert three[0].endswith("; both need 72 steps, no norm 326.")


def test_medians_that_do_not_show_which_level_is_faster_are_left_out(make_sweep: MakeSweep) -> None:
    table = make_sweep(level_names=("none", "before"), targets=(0.8,))
    trials = table.trials
    trials[names.reached(0.8)] = 1.0
    trials[names.steps_to(0.8)] = np.where((trials["norm"] == "batch") & (trials["seed"] < 4), 40.0, 72.0)
    assert said(table)[0].endswith(", but batch reaches the target sooner.")


def test_steps_are_not_told_where_accuracy_decides(make_sweep: MakeSweep) -> None:
    table = make_sweep(level_names=("none", "before"), accuracy=accuracies(before=0.95), targets=(0.8,))
    assert "steps" not in said(slower(table, "none", 326.0))[0]


def test_equal_pairs_are_called_equal(make_sweep: MakeSweep) -> None:
    (headline,) = said(make_sweep(noise=0.0, meta=PLACEMENT))
    assert headline.startswith("All 10 pairs of before and after are equal; before equals no norm")


def test_a_sweep_until_settled_says_what_is_equivalent_and_what_the_rest_would_take(make_sweep: MakeSweep) -> None:
    asked = {"contrasts": ["batch - none"], "looks": [10]}
    (within,) = said(make_sweep(level_names=("none", "before"), meta={**asked, "margin": 0.02}))
    assert re.fullmatch(r"Batch and no norm are equivalent within 2\.00 pp \([+−].* pp, −.* to \+.*\)\.", within)
    (still_open,) = said(
        make_sweep(level_names=("none", "before"), accuracy=accuracies(before=0.903), targets=(), meta=asked)
    )
    assert re.fullmatch(r"Cannot tell batch from no norm \(.* to .*\), about \d+ seeds would tell\.", still_open)


def test_one_seed_concludes_nothing(make_sweep: MakeSweep) -> None:
    (headline,) = said(make_sweep(seeds=(0,), meta=PLACEMENT))
    assert re.fullmatch(r"One seed only tells nothing: before - after is [+−]\d\.\d\d pp\.", headline)


def test_what_is_undefined_or_not_trained_is_not_compared(make_sweep: MakeSweep) -> None:
    for status, why in (("undefined", "batch and none undefined"), ("missing", "no pair is trained yet")):
        (headline,) = said(make_sweep(level_names=("none", "before"), status=lambda p, level, s=status: s))
        assert headline == f"Nothing to compare: {why}."


def test_a_single_arm_tells_its_accuracy(make_sweep: MakeSweep) -> None:
    assert said(make_sweep(level_names=("none",)))[0].startswith("Test accuracy is 9")


def test_one_pair_in_many_settings_is_counted(make_sweep: MakeSweep) -> None:
    table = make_sweep(
        axes=LRS,
        level_names=("none", "before"),
        accuracy=lambda p, level: 0.9 + (0.05 if level == "before" and p["optimizer.lr"] > 0.1 else 0.0),
        meta={"contrasts": ["batch - none"]},
    )
    assert said(table) == ["Batch beats no norm at 2 of 3 learning rates."]


def test_of_many_norms_the_best_is_named_and_those_that_win_are_counted(make_sweep: MakeSweep) -> None:
    gains = {"none": 0.0, "batch": 0.03, "group": 0.0, "instance": 0.01, "layer": 0.06, "rms": 0.05}
    table = make_sweep(level_names=("none",), axes={"model.width": [*range(len(gains))]})
    trials = table.trials
    trials["norm"] = trials["model.width"].map(dict(enumerate(gains)))
    trials[names.TEST_ACC] += trials["norm"].map(gains)
    trials = trials.drop(columns="model.width")
    record = SweepRecord.from_json(
        {**table.record.to_json(), "compare": ["norm"], "contrasts": [], "varied": ["norm", "seed"]}
    )
    (headline,) = said(SweepTable(record, trials, table.curves))
    assert re.fullmatch(r"[34] of 5 norms beat no norm, most layer: by 6\.\d\d pp \(.* to .*\)\.", headline)


def test_of_many_subjects_a_handful_has_headlines_and_the_others_are_counted(make_sweep: MakeSweep) -> None:
    table = make_sweep(
        axes={"model": [f"model_{i}" for i in range(8)]},
        level_names=("none", "before"),
        accuracy=lambda p, level: 0.9 + (0.05 if level == "before" and p["model"] == "model_7" else 0.0),
    )
    told = said(table)
    assert len(told) == MOST_HEADLINES + 1
    assert told[-1] == "3 more: 1 with a better level, 2 where none can be told."


def planned(file: Path) -> tuple[Asked, pd.DataFrame]:
    """What a sweep's file asks, and the params of its trials for one seed, with whether they are undefined."""
    typed = [f"+sweep={file.stem}", "data=mnist_5k", "seed=0"]
    with hydra_sweep(typed) as hydra:
        plan = trials_of_file(hydra, typed)
    asked, trials = plan.request.config.sweep, [trial for trial in plan.trials if trial.params["seed"] == 0]
    rows = [{**trial.params, "undefined": undefined_reason(trial) is not None} for trial in trials]
    varied = [*varied_keys(trials, plan.request.grid.axes), "seed"]
    compare, contrasts, tuning = [*asked.compare], [*asked.contrasts], [*asked.tuning_seeds]
    record = Asked(file.stem, "0", compare=compare, contrasts=contrasts, tuning_seeds=tuning, varied=varied)
    return record, pd.DataFrame(rows)


def made_up(asked: Asked, arms: pd.DataFrame) -> SweepTable:
    """A sweep's table with made-up results over ten seeds: some arms are better, some fail, some are not trained."""
    draw, shares = (
        np.random.default_rng(0),
        {"good": 0.3, "better": 0.4, "failing": 0.1, "collapsed": 0.1, MISSING: 0.1},
    )
    kinds = draw.choice([*shares], size=len(arms), p=[*shares.values()])
    truth = pd.Series(kinds).map({"better": 0.9, "collapsed": 0.1}).fillna(0.85)
    trained = np.where(arms["undefined"], "undefined", np.where(kinds == MISSING, MISSING, "finished"))
    of_seeds = []
    for seed in (*range(10), *asked.tuning_seeds):
        diverged = (kinds == "failing") & (trained == "finished") & (draw.random(len(arms)) < 0.5)
        status = np.where(diverged, "diverged", trained)
        accuracy = np.where(status == "finished", truth + 0.01 * draw.standard_normal(len(arms)), np.nan)
        result = {names.TEST_ACC: accuracy, names.VAL_ACC_FINAL: accuracy}
        of_seeds.append(arms.assign(seed=seed, status=status, tuning=seed in asked.tuning_seeds, reason="", **result))
    trials = pd.concat(of_seeds, ignore_index=True).drop(columns="undefined")
    return SweepTable(SweepRecord(asked), trials.assign(key=[f"{i:08x}" for i in range(len(trials))]), pd.DataFrame())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_sweep_is_answered_in_twenty_words_a_subject(file: Path) -> None:
    analysis = Analysis(made_up(*planned(file)))
    told = headlines(analysis, [])
    assert len(told) == min(len(analysis.subjects), MOST_HEADLINES) + (len(analysis.subjects) > MOST_HEADLINES)
    for headline in told:
        assert len(str(headline).split()) <= MOST_WORDS
        assert not re.search(r"nan|None|\(\)|  | \.| ;|, \)", str(headline)), headline


def test_a_headline_of_long_names_is_short_all_the_same(make_sweep: MakeSweep) -> None:
    normed = [f"{level}, optimizer.lr={rate}" for level in ("before", "after") for rate in (0.1, 0.3)]
    table = make_sweep(
        level_names=("none", "before", "after"),
        axes=LRS,
        accuracy=accuracies(none=0.8),
        meta={
            "compare": ["norm", "norm.placement", "optimizer.lr", "training.batch_size"],
            "contrasts": [
                "before, optimizer.lr=0.3 - after, optimizer.lr=1",
                *(f"{level} - none, optimizer.lr=1" for level in normed),
            ],
        },
    )
    (headline,) = said(table)
    assert headline.startswith("Cannot tell before, optimizer.lr=0.3 from after, optimizer.lr=1 (")
    assert headline.endswith("; 4 more settled.")
    assert len(headline.split()) <= MOST_WORDS


def test_a_standing_is_the_verdict_of_the_conclusion(make_sweep: MakeSweep) -> None:
    """Whatever happens, a level wins by accuracy or by its failures only where `better_level` names it."""
    for seed in range(6):
        draw = np.random.default_rng(seed)
        fails, gain = draw.integers(0, 11), draw.choice([0.0, 0.004, 0.02])
        table = make_sweep(
            accuracy=accuracies(before=0.9 + gain),
            status=lambda p, level, n=fails: "diverged" if level == "none" and p["seed"] < n else "finished",
            noise=0.01,
        )
        said_of = Contents(table)
        for subject in said_of.analysis.subjects:
            for one in standings(said_of.analysis, subject, said_of.choices):
                answer = better_level(one.contrast)
                better = {"a": one.contrast.a, "b": one.contrast.b, "unclear": None}[answer]
                if one.state in {State.different, State.failing}:
                    assert one.winner == better
                else:
                    assert better is None
