"""The questions about a network's norms: which are asked, of which parts, and as which arms."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnbench.config import ConfigError
from bnbench.models.own import Site
from bnbench.sweep.planning.questions import Ask, parts_of, questions_about

_SITE = Site(
    "norm", "batch", "BatchNorm2d", 16, (16, 4, 4), 1, False, "conv", "", "ReLU", "",
    can_be_after=True, can_be_before=False, why_not="",
)  # fmt: skip
TWO = [replace(_SITE, path="stem.norm"), replace(_SITE, path="body.norm", channels=24)]
TOKENS = [
    replace(_SITE, path=f"blocks.{i}.norm", kind="layer", after="", can_be_after=False, axis=-1, per_position=True)
    for i in (0, 1)
]
AFTER = [replace(one, before="ReLU", after="", can_be_after=False, can_be_before=True) for one in TWO]
BARE = [replace(one, path=one.path.replace("norm", "conv"), kind="none", class_name="") for one in TWO]


def words(places: list[Site], asks: list[Ask] | None = None, kinds: list[str] | None = None) -> list[tuple[str, ...]]:
    return [one.words for one in questions_about(places, asks or [*Ask], kinds).asked]


def test_a_network_with_batch_norm_is_asked_every_question() -> None:
    assert words(TWO) == [
        ("norm=none",),
        ("norm=own", "norm.placement=after"),
        ("norm=layer",),
        ("norm=group", "norm.groups=8"),
        ("norm=own", "norm.without='stem'"),
        ("norm=own", "norm.without='body'"),
    ]


def test_norms_behind_their_activation_are_tried_before_it() -> None:
    assert words(AFTER, [Ask.placement]) == [("norm=own", "norm.placement=before")]
    mixed = questions_about([TWO[0], AFTER[1]], [Ask.placement], None)
    assert [one.short for one in mixed.asked] == ["before", "after"]


def test_a_network_without_an_activation_beside_its_norms_is_not_asked_about_placement() -> None:
    assert not [one for one in words(TOKENS) if any("placement" in word for word in one)]
    assert ("norm=batch",) in words(TOKENS)
    assert ("norm=layer",) not in words(TOKENS)


def test_a_network_without_norms_is_asked_which_to_put_in() -> None:
    questions = questions_about(BARE, [*Ask], None)
    assert (questions.base, questions.base_phrase) == ("none", "no norm")
    assert [one.words for one in questions.asked] == [
        ("norm=batch", "norm.placement=after"), ("norm=batch",), ("norm=layer",), ("norm=group", "norm.groups=8")
    ]  # fmt: skip


def test_group_norm_is_tried_only_where_groups_divide_every_layer() -> None:
    assert ("norm=layer",) in words([replace(_SITE, channels=15)])
    assert not [one for one in words([replace(_SITE, channels=15), _SITE]) if one[0] == "norm=group"]


def test_other_norms_can_be_named() -> None:
    assert words(TWO, [Ask.kind], ["rms", "batch", "instance"]) == [("norm=rms",), ("norm=instance",)]


def test_nothing_to_ask_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nothing to ask of this network with --ask placement"):
        questions_about(TOKENS, [Ask.placement], None)


def test_the_arms_are_contrasted_with_the_network_as_it_is() -> None:
    arms, contrasts, compare = questions_about(TWO, [Ask.none, Ask.part], None).overrides
    assert arms == (
        '+hydra.sweeper.arms.question=[["norm=own"], ["norm=none"], '
        '["norm=own", "norm.without=\'stem\'"], ["norm=own", "norm.without=\'body\'"]]'
    )
    assert contrasts == 'sweep.contrasts=["own - none", "own - own, norm.without=stem", "own - own, norm.without=body"]'
    assert compare == "sweep.compare=[norm,norm.placement,norm.without]"


def test_the_parts_of_a_network_are_five_at_most_and_hold_every_norm() -> None:
    paths = [f"features.{block}.norm{i}" for block in range(13) for i in (1, 2)]
    parts = parts_of(paths)
    assert len(parts) == 5
    assert [one for part in parts for one in part.split("+")] == [f"features.{block}" for block in range(13)]
