"""Where a norm is undefined, and what a trial at batch size 1 is told to have seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnbench.config import Trial
from bnbench.norms import NORMS
from bnbench.sweep.planning.norm_rules import remark, undefined_reason

MakeTrial = Callable[[dict[str, Any]], Trial]

_BATCH_1 = {"norm.name": "batch", "training.batch_size": 1}
_DEEP_CNN = {"model.name": "cnn", "model.depth": 19, "model.width": 4, "model.stride_every": 3}


@pytest.mark.parametrize(
    ("values", "where"),
    [
        (_BATCH_1, "in model=fc,"),
        (_BATCH_1 | {"model.depth": 0, "norm.logits": "plain"}, "in model=fc,"),
        (_BATCH_1 | _DEEP_CNN, "in model=cnn from blocks.14 on,"),
        (
            {"norm.name": "ghost_batch", "norm.ghost_size": 1},
            "norm.ghost_size=1 leaves one value per channel in model=fc,",
        ),
        ({"norm.name": "instance"}, "in model=fc,"),
        (_BATCH_1 | _DEEP_CNN | {"model.min_map": 4}, "in model=cnn from hidden on,"),
        (_BATCH_1 | _DEEP_CNN | {"data.name": "digits"}, "in model=cnn from blocks.8 on,"),
    ],
)
def test_a_norm_over_a_single_value_is_undefined_and_says_where(
    values: dict[str, Any], where: str, make_trial: MakeTrial
) -> None:
    reason = undefined_reason(make_trial(values))
    assert reason is not None
    assert where in reason


@pytest.mark.parametrize(
    "values",
    [
        {"norm.name": "none", "training.batch_size": 1},
        {"norm.name": "none", "training.batch_size": 1} | _DEEP_CNN,
        {"norm.name": "batch", "training.batch_size": 2},
        {"norm.name": "batch", "training.batch_size": 2} | _DEEP_CNN,
        _BATCH_1 | {"norm.single_value": "constant"},
        {"norm.name": "layer", "training.batch_size": 1},
        {"norm.name": "ghost_batch", "norm.ghost_size": 2, "training.batch_size": 2},
        _BATCH_1 | _DEEP_CNN | {"model.min_map": 4, "model.hidden": 0},
        _BATCH_1 | _DEEP_CNN | {"norm.single_value": "constant"},
    ],
)
def test_a_trial_whose_norms_all_see_two_values_or_may_be_constant_is_defined(
    values: dict[str, Any], make_trial: MakeTrial
) -> None:
    assert undefined_reason(make_trial(values)) is None


_SPATIAL = _DEEP_CNN | {"model.min_map": 4, "model.hidden": 0}
_CONSTANT = _BATCH_1 | {"norm.single_value": "constant"}


@pytest.mark.parametrize(
    ("values", "says", "does_not_say"),
    [
        (_CONSTANT, "one value per channel, and norm=batch normalizes that to a constant", "one image's"),
        (_CONSTANT | {"norm.name": "batch_renorm"}, "norm=batch_renorm passes no gradient", "constant"),
        (_BATCH_1 | _SPATIAL, "statistics of one image's positions, as instance norm has", "one value"),
        (_CONSTANT | _DEEP_CNN, "one value per channel from blocks.14 on", "nothing"),
        (_CONSTANT | _DEEP_CNN, "statistics of one image's positions in the other layers", "nothing"),
        (_BATCH_1 | _SPATIAL | {"norm.inference": "batch"}, "evaluation used norm.inference=batch", "running"),
        (
            {"norm.name": "ghost_batch", "norm.ghost_size": 1, "training.batch_size": 8} | _SPATIAL,
            "norm.ghost_size=1 leaves the statistics of one image",
            "batch_size",
        ),
    ],
)
def test_a_trial_at_batch_size_1_says_what_its_norms_saw(
    values: dict[str, Any], says: str, does_not_say: str, make_trial: MakeTrial
) -> None:
    said = remark(make_trial(values))
    assert said is not None
    assert says in said
    assert does_not_say not in said


@pytest.mark.parametrize("name", [name for name, norm in NORMS.items() if not norm.over_batch])
def test_norms_that_do_not_see_the_batch_need_no_remark(name: str, make_trial: MakeTrial) -> None:
    assert remark(make_trial(_SPATIAL | {"norm.name": name, "training.batch_size": 1})) is None


def test_larger_batches_need_no_remark(make_trial: MakeTrial) -> None:
    assert remark(make_trial({"norm.name": "batch", "training.batch_size": 2})) is None
