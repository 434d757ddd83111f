"""From points to configurations: few composes, typed values, and one line for each mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bnbench.config import ConfigError, Placement, schema
from bnbench.sweep.planning.compose import Composed, set_values, to_config

if TYPE_CHECKING:
    from conftest import CountingSweep


def test_points_that_choose_the_same_files_share_one_compose(sweep: CountingSweep) -> None:
    points = sweep.points(
        {"norm": "none,batch", "model": "fc,cnn", "seed": "range(5)", "optimizer.lr": "0.1,0.2,0.3"},
        ["data=digits"],
    )
    assert len(points) == 2 * 2 * 5 * 3
    assert sweep.composed == [
        ["data=digits", f"norm={norm}", f"model={model}"] for norm in ("none", "batch") for model in ("fc", "cnn")
    ]


def test_a_point_says_what_a_worker_must_compose_and_set(sweep: CountingSweep) -> None:
    [_, (config, overrides, values)] = sweep.points(
        {"norm": "batch", "norm.placement": "before,after", "seed": "3"}, ["model=cnn"]
    )
    assert overrides == ["model=cnn", "norm=batch"]
    assert values == {"norm.placement": "after", "seed": 3}
    assert (config.model.name, config.norm.name, config.norm.placement, config.seed) == (
        "cnn",
        "batch",
        Placement.after,
        3,
    )


def test_values_arrive_as_their_types(sweep: CountingSweep) -> None:
    [(config, _, _)] = sweep.points(
        {"optimizer.lr": "1", "training.steps": "7", "norm.affine": "false", "training.targets": [[0.5, 1]]}
    )
    assert isinstance(config.optimizer.lr, float)
    assert isinstance(config.training.steps, int)
    assert config.norm.affine is False
    assert config.training.targets == [0.5, 1.0]


def test_a_configuration_that_took_other_values_before_takes_these_alike() -> None:
    node = schema()
    composed = Composed(node)
    for values in (
        {"seed": 3, "optimizer.lr": 1},
        {"norm.placement": "after", "training.targets": [0.5, 1]},
        {"data.targets.fc": 0.9, "training.engine": "torch"},
        {"seed": 2, "data.download": False},
        {"seed": 1},
        {},
    ):
        assert composed.with_values(values) == set_values(node, values)


def test_each_point_has_its_own_values_and_the_base_keeps_its(sweep: CountingSweep) -> None:
    points = sweep.points({"optimizer.lr": "0.3,0.1,0.3", "seed": "0,1"})
    assert [(c.optimizer.lr, c.seed) for c, _, _ in points] == [
        (0.3, 0),
        (0.3, 1),
        (0.1, 0),
        (0.1, 1),
        (0.3, 0),
        (0.3, 1),
    ]
    [(default, _, _)] = sweep.points({})
    assert (default.optimizer.lr, default.seed) == (0.1, 0)


def test_a_value_that_depends_on_an_axis_follows_it(sweep: CountingSweep) -> None:
    points = sweep.points({"training.batch_size": "8,16"}, ["training.eval_every=${training.batch_size}"])
    assert [config.training.eval_every for config, _, _ in points] == [8, 16]


def test_the_configuration_files_hold_nothing_that_the_schema_does_not_know(sweep: CountingSweep) -> None:
    options = {
        key: ",".join(sweep.hydra.context.config_loader.get_group_options(key))
        for key in ("data", "model", "norm", "optimizer", "schedule")
    }
    for key, choices in options.items():
        assert len(sweep.points({key: choices})) >= 2


@pytest.mark.parametrize(
    ("params", "typed", "said"),
    [
        ({"norm.placment": "before,after"}, [], ["norm.placment", "allowed", "placement"]),
        ({"sede": "0,1"}, [], ["sede", "allowed", "seed"]),
        ({}, ["+typo=1"], ["typo", "allowed", "seed"]),
        ({}, ["+norm.typo=1"], ["norm.typo", "allowed", "placement"]),
        ({"training.batch_size": [[1, 8]]}, [], ["training.batch_size=[1, 8]", "training.batch_size=a,b"]),
        ({"norm.placement": "before,sideways"}, [], ["norm.placement=sideways", "before, after"]),
        ({"optimizer.lr": "0.1,fast"}, [], ["optimizer.lr=fast"]),
    ],
)
def test_a_mistake_is_answered_in_one_line(
    params: dict[str, Any], typed: list[str], said: list[str], sweep: CountingSweep
) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep.points(params, typed)
    [line] = str(caught.value).splitlines()
    assert [part for part in said if part not in line] == []
    assert "object_type" not in line


def test_every_unknown_key_has_a_line(sweep: CountingSweep) -> None:
    with pytest.raises(ConfigError) as caught:
        to_config(sweep.compose(["+typo=1", "+norm.other=2"]))
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["typo", "norm.other"]


@pytest.mark.parametrize(
    ("key", "group"), [("norm", True), ("model", True), ("norm.placement", False), ("seed", False)]
)
def test_a_group_is_known_from_a_value(key: str, group: bool, sweep: CountingSweep) -> None:
    assert sweep.hydra.is_group(key) is group
