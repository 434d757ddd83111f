"""The plan: what is dropped, what is undefined, and what is packed with what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from bnbench.config import (
    Config,
    ConfigError,
    Trial,
)
from bnbench.data import DATASETS, DataError
from bnbench.packing.packability import Packability, packability
from bnbench.sweep.planning.plan import DataLoader, Plan, make_plan

if TYPE_CHECKING:
    from conftest import Composed, CountingSweep

MakePlan = Callable[..., Plan]
MakeConfig = Callable[[dict[str, Any]], Config]
MakeTrial = Callable[[dict[str, Any]], Trial]


def _composed(config: Config) -> Composed:
    return config, [], {}


# What is dropped.


def test_points_that_are_one_trial_are_planned_once_in_the_grid_s_order(sweep: CountingSweep, plan: MakePlan) -> None:
    params = {"norm": "none,batch", "norm.placement": "before,after", "seed": "0,1"}
    planned = plan(sweep.points(params))
    told = [
        (p.trial.norm.name, p.trial.norm.placement if p.trial.norm.name != "none" else None, p.trial.seed)
        for p in planned.planned
    ]
    assert told == [
        ("none", None, 0),
        ("none", None, 1),
        ("batch", "before", 0),
        ("batch", "before", 1),
        ("batch", "after", 0),
        ("batch", "after", 1),
    ]
    assert planned.duplicates == 2


def test_finished_trials_are_planned_but_not_packed(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points({"seed": "range(4)"})
    keys = [p.trial.key for p in plan(points).planned]
    again = plan(points, finished=[keys[2], "0123456789abcdef"])
    assert [p.trial.key for p in again.planned] == keys
    assert again.finished == {keys[2]}
    assert [p.trial.seed for pack in again.packs for p in pack] == [0, 1, 3]


def test_a_sweep_that_is_finished_has_nothing_to_train(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points({"seed": "range(4)"})
    keys = [p.trial.key for p in plan(points).planned]
    done = plan(points, finished=keys)
    assert done.packs == []
    assert done.seconds == 0
    assert len(done.planned) == 4


def test_the_longest_pack_comes_first(sweep: CountingSweep, plan: MakePlan) -> None:
    packs = plan(sweep.points({"training.steps": "100,4000,800"})).packs
    assert [pack[0].trial.steps for pack in packs] == [4000, 800, 100]


# What is undefined.


def test_undefined_trials_are_planned_with_their_reason_and_not_packed(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points({"norm": "none,batch", "training.batch_size": "1,8", "seed": "0,1"}, ["model=fc"])
    planned = plan(points)
    assert [(p.trial.norm.name, p.trial.training.batch_size) for p in planned.undefined] == [("batch", 1)] * 2
    packed = {p.trial.key for pack in planned.packs for p in pack}
    assert packed == {p.trial.key for p in planned.planned} - {p.trial.key for p in planned.undefined}


def test_undefined_trials_that_were_recorded_as_such_are_undefined_not_finished(
    sweep: CountingSweep, plan: MakePlan
) -> None:
    points = sweep.points({"training.batch_size": "1,8"}, ["model=fc", "norm=batch"])
    keys = [p.trial.key for p in plan(points).planned]
    again = plan(points, finished=keys)
    assert again.finished == {keys[1]}
    assert len(again.undefined) == 1


def test_the_batch_size_sweep_really_trains_batch_norm_at_batch_size_1(sweep: CountingSweep, plan: MakePlan) -> None:
    composed = sweep.hydra.context.config_loader.load_configuration(
        "config", overrides=["+sweep=batch_size"], run_mode=RunMode.MULTIRUN
    )
    sweeper = OmegaConf.to_container(composed.hydra.sweeper)
    assert isinstance(sweeper, dict)
    planned = plan(sweep.points(sweeper["params"], ["+sweep=batch_size"], sweeper["arms"]))
    one = [p for p in planned.planned if p.trial.norm.name == "batch" and p.trial.training.batch_size == 1]
    assert {p.trial.model.name for p in one if p.undefined is None} == {"cnn"}
    assert {p.trial.model.name for p in one if p.undefined is not None} == {"fc", "cnn"}


def test_a_sweep_of_undefined_trials_alone_is_answered_with_what_to_do(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points({"seed": "range(3)"}, ["norm=batch", "training.batch_size=1"])
    with pytest.raises(ConfigError) as caught:
        plan(points)
    [line] = str(caught.value).splitlines()
    assert line.startswith(
        "training.batch_size=1 leaves one value per channel in model=fc, and norm=batch normalizes that to a constant; "
        "set norm.single_value=constant to train it all the same, or use norm=none"
    )
    assert line.endswith("training.batch_size>=2")


def test_a_sweep_of_undefined_trials_alone_is_answered_before_any_image_is_read(
    sweep: CountingSweep, tmp_path: Path
) -> None:
    from bnbench.sweep.planning.plan import make_plan

    points = sweep.points({}, ["norm=batch", "training.batch_size=1"])
    with pytest.raises(ConfigError):
        make_plan(points, DataLoader(tmp_path / "cache"), list)
    assert [*tmp_path.iterdir()] == []


# What is wrong.


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"norm.name": "group", "norm.groups": 3, "model.width": 8},
            "norm.groups=3 does not divide 8 channels of model=fc; it must",
        ),
        (
            {"norm.name": "ghost_batch", "norm.ghost_size": 24},
            "norm.ghost_size=24 does not divide training.batch_size=64; it must",
        ),
        (
            {"norm.name": "group", "norm.logits": "plain"},
            "norm.groups=4 does not divide 10 channels of model=fc; it must",
        ),
        (
            {"norm.name": "batch", "model.depth": 0},
            "norm=batch has nothing to normalize in model=fc with model.depth=0; use norm=none, or norm.logits=plain",
        ),
        (
            {"norm.weight_standardization": True, "model.depth": 0},
            "norm.weight_standardization=true has no hidden layer to standardize with model.depth=0; set it to false",
        ),
        (
            {"norm.name": "group", "norm.groups": 0},
            "norm.groups=0 is not allowed; it must be a whole number >= 1",
        ),
        (
            {"norm.name": "ghost_batch", "norm.ghost_size": 0},
            "norm.ghost_size=0 is not allowed; it must be a whole number >= 1",
        ),
    ],
)
def test_a_norm_that_does_not_fit_its_model_is_answered_in_one_line(
    values: dict[str, Any], line: str, make_config: MakeConfig, plan: MakePlan
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan([_composed(make_config(values))])
    assert str(caught.value) == line


def test_every_error_of_a_sweep_is_told_once_before_the_store_is_asked(make_config: MakeConfig, tmp_path: Path) -> None:
    from bnbench.sweep.planning.plan import make_plan

    points = [
        _composed(make_config({"seed": seed, "training.batch_size": size}))
        for seed in (-1, 0)
        for size in (0, 8, 10**6)
    ]
    asked = []
    with pytest.raises(ConfigError) as caught:
        make_plan(points, DataLoader(tmp_path), lambda: asked.append(1) or [])  # type: ignore[func-returns-value]
    assert str(caught.value).splitlines() == [
        "seed=-1 is not allowed; it must be a whole number >= 0",
        "training.batch_size=0 is not allowed; it must be a whole number >= 1",
        "training.batch_size=1000000 is more than the 3500 training images of data=mnist_5k; it must be at most 3500",
    ]
    assert not asked
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("data", "mnist_5k, digits, mnist, fashion_mnist, cifar10"),
        ("model", "fc, cnn"),
        ("norm", "none, batch, "),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(
    key: str, allowed: str, make_config: MakeConfig, plan: MakePlan
) -> None:
    with pytest.raises(ConfigError, match=f"^{key}=nope is unknown; allowed: {allowed}"):
        plan([_composed(make_config({f"{key}.name": "nope"}))])


# What is packed with what.


def test_trials_of_other_files_are_other_jobs(sweep: CountingSweep, plan: MakePlan) -> None:
    """A pack's job is composed once: schedules may share a pack, but their files cannot share a compose."""
    planned = plan(sweep.points({"schedule": "constant,cosine", "seed": "0,1"}))
    assert [[p.overrides for p in pack] for pack in planned.packs] == [
        [["schedule=constant"]] * 2,
        [["schedule=cosine"]] * 2,
    ]
    assert len({p.trial.signature for pack in planned.packs for p in pack}) == 1


def test_two_thousand_trials_are_planned_with_four_composes(sweep: CountingSweep, plan: MakePlan) -> None:
    points = sweep.points(
        {
            "norm": "none,batch",
            "model": "fc,cnn",
            "optimizer.lr": ",".join(str(lr) for lr in np.geomspace(0.001, 1, 50).round(6)),
            "seed": "range(10)",
        }
    )
    planned = plan(points)
    assert len(points) == len(planned.planned) == 2000
    assert len(sweep.composed) == 4
    assert sum(len(pack) for pack in planned.packs) == 2000


# The images behind the keys.


def test_the_checksum_of_trials_follows_their_split(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bnbench.data.own.load_data", lambda name, **_: _made_up())
    data = DataLoader(tmp_path / "cache")
    fixed = [data.checksum(make_config({"data.name": "digits", "seed": seed})) for seed in (0, 1)]
    drawn = [
        data.checksum(make_config({"data.name": "digits", "data.split": "by_seed", "seed": seed})) for seed in (0, 1)
    ]
    assert fixed[0] == fixed[1]
    assert len({fixed[0], *drawn}) == 3


def test_a_data_set_is_loaded_once(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def load(name: str, **_: Any) -> Any:
        calls.append(name)
        return _made_up()

    monkeypatch.setattr("bnbench.data.own.load_data", load)
    data = DataLoader(tmp_path / "cache")
    for seed in range(3):
        data.checksum(make_config({"data.name": "digits", "seed": seed}))
    data.load(make_config({"data.name": "digits", "data.root": "elsewhere"}))
    assert calls == ["digits", "digits"]


def test_data_that_are_nowhere_are_a_data_error(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config({"data.name": "mnist", "data.root": str(tmp_path), "data.download": False})
    with pytest.raises(DataError, match=r"data=mnist") as caught:
        DataLoader(tmp_path / "cache").load(config)
    assert len(str(caught.value).splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


def _made_up() -> Any:
    from bnbench.data import ImageData

    images = np.arange(60 * 64, dtype=np.uint8).reshape(60, 1, 8, 8)
    return ImageData.from_arrays("made_up", images, np.arange(60) % 10, classes=10, source="this test")


def test_plans_use_the_sizes_that_data_sets_have() -> None:
    assert all(info.train > info.val > 0 for info in DATASETS.values())


def test_a_pack_that_was_begun_stays_together_as_long_as_all_of_it_is_to_be_trained(
    sweep: CountingSweep, plan: MakePlan
) -> None:
    points = sweep.points({"seed": "range(12)"})
    keys = [p.trial.key for p in plan(points).planned]
    begun = [keys[5:1:-1], keys[3:7], ["of another sweep", keys[9]]]
    packs = [[p.trial.key for p in pack] for pack in plan(points, keys[:1], begun).repacked({}, 1).packs]
    assert sorted(packs, key=len) == [keys[5:1:-1], [keys[1], *keys[6:]]]
    [alone] = plan(points, [keys[4]], begun).packs
    assert len(alone) == 11


# What is the user's own.


def test_a_norm_of_one_s_own_is_tried_once_for_all_its_trials_and_every_plan_knows(
    make_config: MakeConfig, plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnbench.packing import packability

    tried: list[Trial] = []
    whole = packability.packability
    monkeypatch.setattr(packability, "packability", lambda trial: tried.append(trial) or whole(trial))
    norm = {"norm.name": "custom", "norm.factory": "bnbench.examples.norm:max_norm"}
    network = {"model.name": "custom", "model.factory": "bnbench.examples.network:dense", "model.depth": 2}
    cases: list[tuple[dict[str, object], str | None]] = [(norm, None), (norm | network, "its forward mixes channels")]
    for own, reason in cases:
        keys = {"data.name": "digits", "model.width": 9, **own}
        planned = plan([_composed(make_config(keys | {"seed": seed})) for seed in range(4)])
        for known in (planned, planned.repacked({}, 2)):
            assert all((p.why_alone is None) if reason is None else (reason in str(p.why_alone)) for p in known.planned)
            assert [len(pack) for pack in known.packs] == ([4] if reason is None else [1] * 4)
    assert len(tried) == len(cases)


def test_a_network_of_one_s_own_is_tried_once_for_all_plans_of_a_sweep(
    sweep: CountingSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoImages(DataLoader):
        def checksum(self, config: Config) -> str:
            return "none"

    tried = []

    def counted(trial: Trial) -> Packability:
        tried.append(trial.norm.name)
        return packability(trial)

    monkeypatch.setattr("bnbench.packing.packability.packability", counted)
    network = {"model": "custom", "model.factory": "bnbench.examples.network:residual", "model.width": "6"}
    params = {**network, "norm": "none,batch", "data": "digits", "seed": "0,1"}
    points, data = sweep.points(params), NoImages(Path())
    plans = [make_plan(points, data, list) for _ in range(2)]
    assert tried == ["none", "batch"]
    first, second = ([(p.trial.key, p.why_alone, p.rehearsal) for p in one.planned] for one in plans)
    assert len(first) == 4
    assert first == second
