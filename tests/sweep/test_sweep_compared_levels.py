"""What a sweep compares: keys that belong to a level do, and several arms that compare nothing are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bnbench.config import Config, ConfigError, schema
from bnbench.sweep.planning.compared_levels import check_comparison, describe_levels, settled
from bnbench.sweep.planning.compose import compose, to_config
from bnbench.sweep.planning.grid import Grid, expand
from bnbench.sweep.planning.plan import Plan, Planned

if TYPE_CHECKING:
    from conftest import CountingSweep

Asked = tuple[Config, Grid, list[Planned]]
Ask = Callable[..., Asked]

NONE = ["norm=none"]
PLACED = ["norm=batch", "norm.placement=before,after"]
SEEDS = {"seed": "0,1"}


@pytest.fixture
def asked(sweep: CountingSweep, plan: Callable[..., Plan]) -> Ask:
    """A sweep that compares these keys, before it trains."""

    def make(
        compare: list[str], params: dict[str, Any] | None = None, arms: Any = None, tuning: tuple[int, ...] = ()
    ) -> Asked:
        is_group = sweep.hydra.is_group
        grid = expand(SEEDS | (params or {}), arms or {}, [], is_group=is_group, tuning_seeds=tuning)
        made = plan([*compose(grid, sweep.hydra.compose, is_group=is_group)])
        config = to_config(schema())
        config = replace(config, sweep=replace(config.sweep, compare=compare, tuning_seeds=[*tuning]))
        return config, grid, made.planned

    return make


def compared(asked: Asked) -> list[str]:
    config, grid, planned = asked
    check_comparison(config, grid, planned)
    return settled(config, grid, planned).sweep.compare


def described(asked: Asked) -> str:
    config, grid, planned = asked
    return describe_levels(settled(config, grid, planned), grid, planned)


def test_a_placement_inside_the_arms_of_a_compared_norm_belongs_to_the_level(asked: Ask) -> None:
    own = asked(["norm"], {"optimizer.lr": "1,3"}, {"norm": [NONE, PLACED]})
    assert compared(own) == ["norm", "norm.placement"]
    assert described(own) == "compares none; before; after (at each optimizer.lr)"


def test_norms_of_ones_own_are_told_apart_by_their_functions(asked: Ask) -> None:
    factories = [["norm=custom", f"norm.factory=bnbench.examples.norm:{name}"] for name in ("max_norm", "two_norms")]
    own = asked(["norm"], arms={"norm": factories})
    assert compared(own) == ["norm", "norm.factory"]
    assert described(own) == "compares max_norm; two_norms"


@pytest.mark.parametrize(
    ("arms", "belongs", "levels"),
    [
        (
            [NONE, ["norm=batch", "norm.momentum=0.1,0.5"]],
            "norm.momentum",
            "none; batch, norm.momentum=0.1; batch, norm.momentum=0.5",
        ),
        ([["norm=batch", "model.bias=always"], ["norm=batch", "model.bias=never"]], "model.bias", "always; never"),
        (
            [NONE, ["norm=batch"], ["norm=batch", "model.bias=always"]],
            "model.bias",
            "none, model.bias=auto; batch, model.bias=auto; batch, model.bias=always",
        ),
        (
            [NONE, ["norm=batch", "norm.preset=torch,tensorflow"]],
            "norm.momentum",
            "none; batch, norm.momentum=0.1; batch, norm.momentum=0.01",
        ),
    ],
    ids=["momentum", "bias of one norm", "bias beside norms", "preset"],
)
def test_whatever_an_arm_of_the_compared_group_sets_belongs_to_the_level(
    asked: Ask, arms: list[list[str]], belongs: str, levels: str
) -> None:
    own = asked(["norm"], {"training.batch_size": "8,64"}, {"kinds": arms})
    assert compared(own) == ["norm", belongs]
    assert described(own) == f"compares {levels} (at each training.batch_size)"


def test_what_applies_to_some_levels_only_belongs_to_them_without_any_arms(asked: Ask) -> None:
    own = asked(["norm"], {"norm": "none,batch", "norm.momentum": "0.1,0.5"})
    assert compared(own) == ["norm", "norm.momentum"]


@pytest.mark.parametrize(
    ("compare", "params", "arms"),
    [
        (["norm"], {}, {"norm": [NONE, ["norm=batch"]], "model": [["model=fc"], ["model=cnn", "optimizer.lr=0.01"]]}),
        (["norm"], {"norm": "none,batch", "model.bias": "auto,always"}, {}),
        (["norm"], {}, {"norm": [["norm=none", "optimizer.lr=0.1,0.3"], ["norm=batch", "optimizer.lr=0.3,1"]]}),
        (["norm"], {}, {"norm": [NONE, ["norm=batch", "training.steps=500"]]}),
        (
            ["norm"],
            {},
            {"norm": [["norm=none", "training.batch_size=8,64"], ["norm=batch", "training.batch_size=8,64"]]},
        ),
        (
            ["norm"],
            {},
            {"sizes": [["training.batch_size=8", "norm=none,batch"], ["training.batch_size=64", "norm=batch"]]},
        ),
        (["model.bias"], {"model.bias": "always,never"}, {"norm": [NONE, PLACED]}),
        (
            ["norm", "norm.placement"],
            {"norm.placement": "before,after"},
            {"model": [["model=fc", "norm=batch"], ["model=cnn", "norm=batch"]]},
        ),
    ],
    ids=["model", "bias axis", "learning rate", "follows", "crossed", "sizes", "other group", "other set"],
)
def test_what_levels_can_be_held_equal_in_stays_a_setting(
    asked: Ask, compare: list[str], params: dict[str, str], arms: Any
) -> None:
    assert compared(asked(compare, params, arms)) == compare


@pytest.mark.parametrize(
    ("compare", "params", "named"),
    [
        (["norm"], {"norm": "batch", "norm.placement": "before,after"}, "norm.placement"),
        (["norm", "norm.placement"], {"optimizer.lr": "0.1,0.3", "model.depth": "2,3"}, "model.depth, optimizer.lr"),
        (["norm.ghost_size"], {"norm": "none,batch"}, "norm"),
    ],
)
def test_a_sweep_whose_every_stratum_has_one_level_is_refused_with_the_keys_to_add(
    asked: Ask, compare: list[str], params: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        compared(asked(compare, params))
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"sweep.compare=[{', '.join(compare)}] compares nothing")
    assert f"add to it what is to be compared, of {named}, or" in line


def test_what_the_refusal_names_is_compared_once_it_is_added(asked: Ask) -> None:
    params = {"norm": "batch", "norm.placement": "before,after", "optimizer.lr": "0.1,0.3"}
    for added in ("norm.placement", "optimizer.lr"):
        assert compared(asked(["norm", added], params)) == ["norm", added]


@pytest.mark.parametrize("params", [{}, {"seed": "3"}, {"norm": "batch"}], ids=["seeds", "one trial", "one arm"])
def test_one_arm_compares_nothing_and_need_not(asked: Ask, params: dict[str, str]) -> None:
    own = asked(["norm", "norm.placement"], params)
    assert compared(own) == ["norm", "norm.placement"]
    assert described(own) == "compares nothing"


def test_a_sweep_may_say_that_it_compares_nothing(asked: Ask) -> None:
    assert compared(asked([], {"optimizer.lr": "0.1,0.3"})) == []


def test_levels_with_no_learning_rate_in_common_are_compared_where_each_has_its_own(asked: Ask) -> None:
    arms = {"norm": [["norm=none", "optimizer.lr=0.01,0.1"], ["norm=batch", "optimizer.lr=1,3"]]}
    assert compared(asked(["norm"], arms=arms, tuning=(100,))) == ["norm"]
    with pytest.raises(ConfigError, match=r"of optimizer\.lr, or"):
        compared(asked(["norm"], arms=arms))


def test_a_level_beside_which_no_other_stands_is_named(asked: Ask) -> None:
    sizes = [[f"training.batch_size={size}", "norm=none,batch"] for size in (8, 32)]
    sizes.append(["training.batch_size=64", "norm=layer"])
    lines = described(asked(["norm"], arms={"sizes": sizes})).splitlines()
    assert lines[1] == "compared with nothing, for no setting has another level beside it: layer"
