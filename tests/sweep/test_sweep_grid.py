"""The grid: axes, arms and the command line, expanded to points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bnbench.config import ConfigError
from bnbench.sweep.planning.grid import Grid, expand

_GROUPS = {"model", "norm", "optimizer", "data", "sweep"}

_MODELS = [["model=fc", "optimizer=sgd", "optimizer.lr=0.1,0.2"], ["model=cnn", "optimizer=adam"]]
_NORMS = [["norm=none"], ["norm=batch", "norm.placement=before,after"]]


def _expand(
    params: Mapping[str, Any] | None = None,
    arms: Mapping[str, Any] | None = None,
    command_line: Sequence[str] = (),
    tuning_seeds: Sequence[int] = (),
) -> Grid:
    return expand(params or {}, arms or {}, command_line, is_group=_GROUPS.__contains__, tuning_seeds=tuning_seeds)


def _points(grid: Grid) -> list[str]:
    return [" ".join(value.override for value in point) for point in grid.points]


# Axes.


def test_nothing_that_varies_is_one_point() -> None:
    grid = _expand()
    assert grid.points == [()]
    assert grid.fixed == grid.axes == []


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        ("1,2,8", ["1", "2", "8"]),
        ("range(3)", ["0", "1", "2"]),
        ("range(2,8,3)", ["2", "5"]),
        ("choice(4,2)", ["4", "2"]),
        ([4, 2], ["4", "2"]),
        (["1,2", 5], ["1", "2", "5"]),
        ("7", ["7"]),
        (7, ["7"]),
        ([7], ["7"]),
    ],
)
def test_an_axis_may_be_written_as_hydra_or_yaml_has_it(written: Any, texts: list[str]) -> None:
    grid = _expand({"seed": written})
    assert _points(grid) == [f"seed={text}" for text in texts]
    assert [point[0].parsed for point in grid.points] == [int(text) for text in texts]
    assert grid.axes == ["seed"]


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ("0.1,1", [0.1, 1]),
        ([0.1, 1e-5], [0.1, 1e-5]),
        ([True, False], [True, False]),
        ([None, "before"], [None, "before"]),
        ("null,true", [None, True]),
        ([[0.5, 0.9], [0.8]], [[0.5, 0.9], [0.8]]),
        ("'a b',c", ["a b", "c"]),
    ],
)
def test_values_of_an_axis_keep_their_types(written: Any, parsed: list[Any]) -> None:
    values = [point[0].parsed for point in _expand({"key": written}).points]
    assert values == parsed
    assert [type(value) for value in values] == [type(value) for value in parsed]


def test_axes_are_crossed_the_last_one_fastest() -> None:
    assert _points(_expand({"seed": "0,1", "norm": "none,batch"})) == [
        "seed=0 norm=none",
        "seed=0 norm=batch",
        "seed=1 norm=none",
        "seed=1 norm=batch",
    ]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"seed": []}, "seed"),
        ({"seed": "range(0)"}, "seed=range(0)"),
        ({"seed": "range(3,1)"}, "seed=range(3,1)"),
        ({"optimizer.lr": "interval(0,1)"}, "optimizer.lr=interval(0,1)"),
        ({"model": "glob(*)"}, "model=glob(*)"),
        ({"seed": "range(3"}, "seed=range(3"),
        ({"optimizer lr": "1"}, "optimizer lr"),
    ],
)
def test_an_axis_without_a_list_of_values_is_answered_in_one_line(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _expand(params)
    [line] = str(caught.value).splitlines()
    assert said in line


# Arms.


def test_an_arm_may_sweep_and_arms_follow_one_another() -> None:
    assert _points(_expand(arms={"norm": _NORMS})) == [
        "norm=none",
        "norm=batch norm.placement=before",
        "norm=batch norm.placement=after",
    ]


def test_two_sets_of_arms_are_crossed_with_each_other_and_with_the_axes() -> None:
    grid = _expand({"seed": "0,1"}, {"model": _MODELS, "norm": _NORMS})
    points = _points(grid)
    assert len(points) == len(set(points)) == 3 * 3 * 2
    assert "model=fc optimizer=sgd optimizer.lr=0.2 norm=batch norm.placement=after seed=1" in points
    assert "model=cnn optimizer=adam norm=none seed=0" in points
    assert grid.axes == ["model", "norm", "norm.placement", "optimizer", "optimizer.lr", "seed"]


def test_an_arm_s_own_grid_replaces_the_axis_of_its_key_in_that_arm_alone() -> None:
    grid = _expand({"optimizer.lr": "1,2,3"}, {"model": _MODELS})
    assert _points(grid) == [
        "model=fc optimizer=sgd optimizer.lr=0.1",
        "model=fc optimizer=sgd optimizer.lr=0.2",
        "model=cnn optimizer=adam optimizer.lr=1",
        "model=cnn optimizer=adam optimizer.lr=2",
        "model=cnn optimizer=adam optimizer.lr=3",
    ]


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"norm": ["norm=none"]}, "hydra.sweeper.arms.norm holds the text 'norm=none'"),
        ({"norm": [["norm none"]]}, "'norm none' in hydra.sweeper.arms.norm"),
    ],
)
def test_arms_of_the_wrong_shape_are_answered_in_one_line(arms: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _expand(arms=arms)
    [line] = str(caught.value).splitlines()
    assert said in line


# The command line.


def test_a_typed_value_replaces_the_axis() -> None:
    grid = _expand({"seed": "range(10)", "norm": "none,batch"}, command_line=["seed=5"])
    assert grid.fixed == ["seed=5"]
    assert _points(grid) == ["norm=none", "norm=batch"]


@pytest.mark.parametrize("typed", ["seed=3,4", "+seed=3,4", "++seed=3,4", "seed=range(3,5)", "seed=choice(3,4)"])
def test_a_typed_sweep_replaces_the_axis(typed: str) -> None:
    grid = _expand({"seed": "range(10)"}, command_line=[typed])
    assert grid.fixed == []
    assert _points(grid) == ["seed=3", "seed=4"]


def test_a_typed_sweep_of_a_new_key_is_a_new_axis() -> None:
    grid = _expand({"seed": "0,1"}, {"norm": [["norm=none"]]}, ["training.batch_size=1,8", "data=digits"])
    assert grid.fixed == ["data=digits"]
    assert _points(grid) == [f"norm=none seed={seed} training.batch_size={size}" for seed in (0, 1) for size in (1, 8)]


def test_a_typed_group_selects_the_arms_that_choose_it() -> None:
    grid = _expand(arms={"model": _MODELS, "norm": _NORMS}, command_line=["model=cnn", "norm=batch"])
    assert grid.fixed == []
    assert _points(grid) == [
        "model=cnn optimizer=adam norm=batch norm.placement=before",
        "model=cnn optimizer=adam norm=batch norm.placement=after",
    ]


def test_typed_groups_select_their_arms_in_the_order_typed() -> None:
    grid = _expand(arms={"model": _MODELS}, command_line=["model=cnn,fc"])
    assert [point.split()[0] for point in _points(grid)] == ["model=cnn", "model=fc", "model=fc"]


def test_a_typed_group_that_no_arm_chooses_replaces_the_arms_choice() -> None:
    grid = _expand(arms={"model": _MODELS}, command_line=["model=resnet"])
    assert _points(grid) == [
        "model=resnet optimizer=sgd optimizer.lr=0.1",
        "model=resnet optimizer=sgd optimizer.lr=0.2",
        "model=resnet optimizer=adam",
    ]


@pytest.mark.parametrize("typed", ["optimizer.lr=0.5", "++optimizer.lr=0.5"])
def test_a_typed_value_reaches_every_trial_also_where_only_some_arms_set_the_key(typed: str) -> None:
    grid = _expand(arms={"model": _MODELS}, command_line=[typed])
    assert _points(grid) == [
        "model=fc optimizer=sgd optimizer.lr=0.5",
        "model=cnn optimizer=adam optimizer.lr=0.5",
    ]


def test_a_typed_sweep_reaches_every_trial_also_where_only_some_arms_set_the_key() -> None:
    grid = _expand(arms={"model": _MODELS}, command_line=["optimizer.lr=0.5,0.6"])
    assert _points(grid) == [
        f"model={model} optimizer={optimizer} optimizer.lr={lr}"
        for model, optimizer in (("fc", "sgd"), ("cnn", "adam"))
        for lr in (0.5, 0.6)
    ]


def test_what_is_typed_and_does_not_vary_is_handed_on_as_typed() -> None:
    typed = [
        "+sweep=placement",
        "runs_dir='a b'",
        "training.targets=[0.5,0.9]",
        "~schedule",
        "+new=1",
    ]
    assert _expand({"seed": "0,1"}, command_line=typed).fixed == typed


@pytest.mark.parametrize("typed", ["garbage", "seed=range(", "seed==[1"])
def test_words_that_are_no_overrides_are_answered_in_one_line(typed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _expand(command_line=[typed])
    [line] = str(caught.value).splitlines()
    assert typed in line
    assert "key=value" in line


# Tuning seeds.


def test_tuning_seeds_follow_the_seeds_and_come_once() -> None:
    grid = _expand({"seed": "0,1,101"}, tuning_seeds=[100, 101, 102])
    assert [point[0].parsed for point in grid.points] == [0, 1, 101, 100, 102]


@pytest.mark.parametrize("typed", [["seed=0,1"], ["seed=range(2)"]])
def test_tuning_seeds_are_added_to_typed_seeds(typed: list[str]) -> None:
    grid = _expand({"seed": "range(10)"}, command_line=typed, tuning_seeds=[100])
    assert [point[0].parsed for point in grid.points] == [0, 1, 100]


def test_one_typed_seed_is_trained_without_tuning_seeds() -> None:
    grid = _expand({"seed": "range(10)"}, command_line=["seed=7"], tuning_seeds=[100])
    assert grid.points == [()]
    assert grid.fixed == ["seed=7"]


def test_tuning_seeds_are_added_to_no_other_axis() -> None:
    assert len(_expand({"norm": "none,batch"}, tuning_seeds=[100]).points) == 2
