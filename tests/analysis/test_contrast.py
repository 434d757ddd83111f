"""Contrasts: which pairs count, what stands beside their difference, and which family they are judged in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis import Analysis, SweepTable, detectable_difference, mcnemar_p
from bnbench.analysis.verdict import better_level
from bnbench.record import names

BATCH, LAYER = {"norm": "batch"}, {"norm": "layer"}
PLANNED = ["batch - none", "layer - none"]


def arm(accuracies: Any, norm: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
    return [{"seed": s, names.TEST_ACC: float(acc), **more} | (norm or {}) for s, acc in enumerate(accuracies)]


def differences(table: SweepTable) -> pd.DataFrame:
    """As lines of differences.csv."""
    return pd.DataFrame([one.row for one in Analysis(table).differences])


def draws(n: int, mean: float = 0.9, seed: int = 0) -> np.ndarray:
    return mean + 0.01 * np.random.default_rng([n, seed]).standard_normal(n)


def test_p_values_are_scipys(table_of: Any) -> None:
    a, b = draws(10, 0.905, 1), draws(10)
    row = differences(table_of(arm(b) + arm(a, BATCH))).iloc[0]
    assert row["p"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    judge = stats.permutation_test((a - b,), np.mean, permutation_type="samples", n_resamples=2**10)
    assert row["p_sign_flip"] == pytest.approx(judge.pvalue)


def test_the_family_is_the_planned_contrasts_in_all_strata(table_of: Any) -> None:
    rows = [
        row
        for lr in (0.1, 0.3)
        for i, norm in enumerate(({}, BATCH, LAYER))
        for row in arm(draws(8, 0.9 + 0.01 * i, i + round(10 * lr)), norm, **{"optimizer.lr": lr})
    ]
    found = differences(table_of(rows, contrasts=PLANNED, varied=["optimizer.lr", "norm", "seed"]))
    assert found["family"].tolist() == [4] * 4
    assert found["primary"].all()
    order = np.argsort(found["p"].to_numpy())
    by_hand = np.maximum.accumulate(found["p"].to_numpy()[order] * [4, 3, 2, 1]).clip(max=1)
    assert found["p_holm"].to_numpy()[order] == pytest.approx(by_hand)
    bonferroni = stats.t.ppf(1 - 0.05 / 8, 7) / stats.t.ppf(0.975, 7)
    assert (found["family_high"] - found["mean"]).tolist() == pytest.approx(
        (bonferroni * (found["high"] - found["mean"])).tolist()
    )


def test_without_planned_contrasts_all_is_exploratory(table_of: Any) -> None:
    found = differences(table_of(arm(draws(8)) + arm(draws(8, seed=1), BATCH)))
    assert not found["primary"].any()
    assert found["p_holm"].isna().all()
    assert found["p"].notna().all()


def test_a_contrast_asked_besides_the_planned_ones_is_exploratory(table_of: Any) -> None:
    rows = arm(draws(8)) + arm(draws(8, seed=1), BATCH) + arm(draws(8, seed=2), LAYER)
    table = table_of(rows, contrasts=PLANNED)
    (asked,) = Analysis(table).contrast("layer", "batch")
    assert (asked.primary, asked.where) == (False, {})
    assert math.isnan(asked.adjusted_p)


def test_a_planned_contrast_asked_the_other_way_round_is_the_same_test(table_of: Any) -> None:
    table = table_of(arm(draws(8)) + arm(draws(8, seed=1), BATCH), contrasts=["batch - none"])
    (one,), (other,) = Analysis(table).contrast("batch", "none"), Analysis(table).contrast("none", "batch")
    assert other.interval.mean == -one.interval.mean
    assert (other.p, other.adjusted_p, other.family) == (one.p, one.adjusted_p, 1)


def test_seeds_are_too_few_where_no_sign_pattern_could_reach_the_familys_level(table_of: Any) -> None:
    rows = arm(draws(6)) + arm(draws(6, seed=1), BATCH) + arm(draws(6, seed=2), LAYER)
    assert differences(table_of(rows))["seeds_suffice"].all()
    assert not differences(table_of(rows, contrasts=PLANNED))["seeds_suffice"].any()


def test_a_skewed_difference_has_a_bootstrap_interval_beside_it_and_others_have_none(table_of: Any) -> None:
    skewed = 0.9 + np.array([0.001, 0.002, 0.0, 0.001, 0.003, 0.002, 0.001, 0.05])
    found = differences(table_of(arm([0.9] * 8) + arm(skewed, BATCH) + arm(draws(8, seed=4), LAYER)))
    batch, layer = (found[(found["a"] == level) & (found["b"] == "none")].iloc[0] for level in ("batch", "layer"))
    assert batch["skewness"] > 1
    assert batch["bootstrap_high"] - batch["mean"] > batch["high"] - batch["mean"]
    assert abs(layer["skewness"]) < 1
    assert math.isnan(layer["bootstrap_low"])


def test_the_detectable_difference_is_that_of_the_spread_and_the_family(table_of: Any) -> None:
    a, b = draws(10, seed=1), draws(10)
    rows = arm(b) + arm(a, BATCH) + arm(draws(10, seed=2), LAYER)
    row = differences(table_of(rows, contrasts=PLANNED)).iloc[0]
    assert row["detectable"] == pytest.approx(detectable_difference((a - b).std(ddof=1), 10, alpha=0.025))


def test_all_pairs_equal_have_no_test(table_of: Any) -> None:
    row = differences(table_of(arm([0.9, 0.8, 0.7]) + arm([0.91, 0.81, 0.71], BATCH), contrasts=PLANNED)).iloc[0]
    assert row[["low", "p", "p_holm", "skewness", "detectable"]].isna().all()
    assert row["p_sign_flip"] == 0.25


def test_collapsed_trials_are_failures_and_in_no_mean(table_of: Any) -> None:
    constant = 0.1  # mnist_5k has 100 of each class among its 1,000 test images
    rows = arm([0.9, constant, 0.92, 0.124], data="mnist_5k") + arm([0.95] * 4, BATCH, data="mnist_5k")
    row = differences(table_of(rows)).iloc[0]
    assert (row["collapsed_a"], row["collapsed_b"], row["finished_b"]) == (0, 1, 4)
    assert row["descriptive"]
    assert row["n"] == 3  # an image more than luck gives is no failure


def test_success_is_compared_in_pairs_with_mcnemar(table_of: Any) -> None:
    rows = arm([0.1] * 7 + [0.9] * 3, data="mnist_5k") + arm([0.9] * 10, BATCH, data="mnist_5k")
    rows[8]["status"] = rows[12]["status"] = "diverged"  # none on seed 8, batch on seed 2
    row = differences(table_of(rows)).iloc[0]
    # Only batch succeeded on 0, 1, 3-6 and 8; on 2 neither did, on 7 and 9 both.
    assert row["p_mcnemar"] == mcnemar_p(7, 0)
    assert row["n"] == 2


def test_undefined_trials_are_no_failures(table_of: Any) -> None:
    rows = arm([0.9] * 3) + arm([math.nan] * 3, BATCH, status="undefined")
    row = differences(table_of(rows)).iloc[0]
    assert not row["descriptive"]
    assert math.isnan(row["p_mcnemar"])


def test_an_arm_without_the_measure_has_no_pair(table_of: Any) -> None:
    key = names.test_acc_under("batch")
    rows = arm([0.9] * 3, **{key: math.nan}) + arm([0.9] * 3, BATCH, **{key: 0.8})
    (found,) = Analysis(table_of(rows)).contrast("batch", "none", key)
    assert found.interval.n == 0


def test_a_loss_improves_downwards(table_of: Any) -> None:
    none, batch = arm(draws(8)), arm(draws(8), BATCH)
    rows = [
        row | {names.TEST_LOSS: loss} for row, loss in zip(none + batch, [*draws(8), *draws(8, 0.8, 1)], strict=True)
    ]
    (found,) = Analysis(table_of(rows)).contrast("batch", "none", names.TEST_LOSS)
    assert found.interval.mean == pytest.approx(-0.1, abs=0.02)
    assert better_level(found) == "a"
    assert not found.primary


def test_a_measure_of_the_untrained_network_counts_failed_trials_too(table_of: Any) -> None:
    key = names.PARAMETERS
    rows = arm([0.9] * 3, **{key: 10.0}) + arm([math.nan] * 3, BATCH, status="diverged", **{key: 12.0})
    (found,) = Analysis(table_of(rows)).contrast("batch", "none", key)
    assert (found.interval.n, found.interval.mean) == (3, 2)


@pytest.mark.parametrize(
    ("a", "measure", "complaint"),
    [
        ("group", names.TEST_ACC, "level 'group' is not in this sweep; it compares none, batch"),
        ("batch", "test/f1", "test/f1 was not measured in this sweep; it has test/acc"),
        (
            "batch",
            names.steps_to(0.9),
            "empty where the target was missed; compare steps with bnbench.analysis.Analysis",
        ),
        (
            "batch",
            names.examples_to(0.9),
            "empty where the target was missed; compare steps with bnbench.analysis.Analysis",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(table_of: Any, a: str, measure: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Analysis(table_of(arm([0.9]) + arm([0.9], BATCH))).contrast(a, "none", measure)


def test_each_levels_best_rate_is_a_family_of_its_own(table_of: Any) -> None:
    rows = [
        {"seed": s, "optimizer.lr": lr, names.ACC_BEST: 0.9 - abs(lr - 0.3), names.TEST_ACC: acc} | norm
        for lr in (0.1, 0.3, 1.0)
        for i, norm in enumerate(({}, BATCH))
        for s, acc in zip([*range(8), 100], draws(9, seed=i + round(10 * lr)), strict=True)
    ]
    table = table_of(rows, contrasts=["batch - none"], tuning_seeds=[100], varied=["optimizer.lr", "norm", "seed"])
    assert differences(table)["family"].tolist() == [3, 3, 3]
    (tuned,) = Analysis(table).tuned_differences
    assert tuned.family == 1
    assert tuned.adjusted_p == tuned.p
    assert tuned.chosen == {"lr_a": 0.3, "lr_b": 0.3, "at_edge_a": False, "at_edge_b": False}
