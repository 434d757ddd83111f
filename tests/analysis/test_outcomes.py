"""Which trials count as failures, judged by what guessing gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnbench.analysis import collapsed
from bnbench.analysis.outcomes import chances, count_outcomes, largest_class
from bnbench.record import names


def of_own_data(accuracy: float, share: float, images: int) -> dict[str, Any]:
    return {
        "data": "arrays",
        names.TEST_ACC: accuracy,
        names.LARGEST_CLASS: share,
        names.TEST_IMAGES: float(images),
    }


@pytest.mark.parametrize(("share", "images"), [(0.1, 1000), (1 / 3, 120), (0.9, 500), (37 / 360, 360)])
def test_of_trials_that_guess_1_in_100_at_most_is_no_failure(share: float, images: int, table_of: Any) -> None:
    draw = np.random.default_rng(7)
    rows = [of_own_data(right / images, share, images) for right in draw.binomial(images, share, 20_000)]
    missed = 1 - collapsed(table_of(rows).trials).mean()
    assert 0.001 < missed < 0.0125, "four standard errors above 0.01"


def test_naming_the_largest_class_is_a_failure_and_more_than_luck_gives_is_none(table_of: Any) -> None:
    # The 99 % quantile of 1,000 throws at a tenth is 123.
    rows = [of_own_data(right / 1000, 0.1, 1000) for right in (0, 100, 101, 123, 124, 900)]
    assert collapsed(table_of(rows).trials).tolist() == [True, True, True, True, False, False]
    assert [(c.share, c.images, c.most) for c in chances(table_of(rows).trials)] == [(0.1, 1000, 123)]


def test_each_trial_is_held_to_the_test_images_it_had(table_of: Any) -> None:
    rows = [of_own_data(0.5, 0.5, 200), of_own_data(0.5, 0.1, 200)]
    assert collapsed(table_of(rows).trials).tolist() == [True, False]
    assert largest_class(table_of(rows).trials).tolist() == [0.5, 0.1]


def test_trials_recorded_before_the_share_was_are_held_to_the_catalogs(table_of: Any) -> None:
    old = [{"data": "mnist_5k", names.TEST_ACC: 0.101}, {"data": "mnist_5k", names.TEST_ACC: 0.5}]
    assert collapsed(table_of(old).trials).tolist() == [True, False]
    mixed = table_of([*old, of_own_data(0.4, 0.1, 200)]).trials
    assert collapsed(mixed).tolist() == [True, False, False]


def test_of_own_data_recorded_before_the_share_was_no_trial_is_called_collapsed(table_of: Any) -> None:
    old = table_of([{"data": "arrays", names.TEST_ACC: 0.0}, {names.TEST_ACC: 0.0}]).trials
    assert not collapsed(old).any()
    assert largest_class(old).isna().all()


def test_only_finished_trials_collapse(table_of: Any) -> None:
    rows = [{**of_own_data(0.1, 0.1, 1000), "status": status} for status in ("finished", "diverged", "failed")]
    assert count_outcomes(table_of(rows).trials).collapsed == 1
