"""A pack that was broken off goes on to the same bits."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest

from bnbench.record import checkpoints
from bnbench.training.fit import fit


class Killed(BaseException):
    """Stands for whatever ends a process; nothing catches it."""


class _Steps:
    """Hears how far a pack is, and breaks it off after so many steps."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.heard: list[int] = []

    def __call__(self, steps: int, diverged: int) -> None:
        self.heard.append(steps)
        if self.kill_at is not None and steps >= self.kill_at:
            raise Killed


def _numbers(results):
    return [(r.key, r.status, r.reason, r.diverged_step, r.metrics, r.curves) for r in results]


_FC = ("model.depth=2", "model.width=9", "training.batch_size=7")
_CNN = ("model.name=cnn", "model.depth=4", "model.stride_every=1", "model.width=3", "model.hidden=5")
_PACKS = {
    "fc batch sgd": (*_FC, "norm.name=batch"),
    "fc batch cumulative momentum": (*_FC, "norm.name=batch", "norm.averaging=cumulative", "optimizer.name=momentum"),
    "fc noisy adam": (*_FC, "norm.name=noisy_batch", "optimizer.name=adam", "optimizer.lr=0.01"),
    "fc renorm precise": (*_FC, "norm.name=batch_renorm", "norm.renorm_warmup_steps=30", "norm.inference=precise"),
    "fc online decay": (*_FC, "norm.name=online", "optimizer.weight_decay=0.01"),
    "fc frozen measures": (*_FC, "norm.name=frozen_batch", "training.measures=[gradients,activations,effective_lr]"),
    "fc batch one": (*_FC, "norm.name=batch", "norm.single_value=constant", "training.batch_size=1"),
    "fc dropout schedule": (*_FC, "model.dropout=0.2", "schedule.name=cosine", "schedule.warmup_steps=5"),
    "fc own norm": (*_FC, "norm.name=custom", "norm.factory=bnbench.examples.norm:two_norms", "optimizer.name=adam"),
    "cnn batch adamw": (*_CNN, "norm.name=batch", "training.batch_size=6", "optimizer.name=adamw", "optimizer.lr=0.01"),
    "cnn ghost float64": (*_CNN, "norm.name=ghost_batch", "norm.ghost_size=3", "training.batch_size=6",
                          "training.precision=float64"),
}  # fmt: skip


@pytest.fixture
def pack(trial_of):
    def make(*overrides: str, trials: int = 3, every: int | None = 8):
        given = ("training.steps=40", "training.eval_grid=linear", "training.eval_every=5", "training.targets=[0.2]")
        if every is not None:
            given = (*given, f"training.checkpoint_every={every}")
        return [trial_of("optimizer.lr=0.05", *overrides, *given, f"seed={seed}") for seed in range(trials)]

    return make


@pytest.mark.parametrize("name", _PACKS)
def test_a_pack_goes_on_to_the_same_bits(name, pack, images_of, tmp_path) -> None:
    data, trials = images_of(1, 8, 8), pack(*_PACKS[name])
    uninterrupted = _numbers(fit(trials, data))
    for kill_at in (10, 25):  # killed twice: a pack that goes on can be killed again
        with pytest.raises(Killed):
            fit(trials, data, report=_Steps(kill_at), checkpoints=tmp_path)
    steps = _Steps()
    assert _numbers(fit(trials, data, report=steps, checkpoints=tmp_path)) == uninterrupted
    assert steps.heard == [25, 30, 35, 40], "it was trained from the start"


def test_trials_that_diverged_before_stay_where_they_were(pack, images_of, tmp_path) -> None:
    data, trials = images_of(1, 8, 8), pack(*_FC, "norm.name=batch", trials=8)
    for slot, lr in ((0, 1e30), (2, float("nan")), (3, 1e30), (4, 1e30), (6, 1e30), (7, 1e30)):
        trials[slot] = replace(trials[slot], lr=lr)
    uninterrupted = fit(trials, data)
    assert sum(result.status == "diverged" for result in uninterrupted) >= 5
    with pytest.raises(Killed):
        fit(trials, data, report=_Steps(25), checkpoints=tmp_path)
    assert _numbers(fit(trials, data, checkpoints=tmp_path)) == _numbers(uninterrupted)


def test_saving_changes_no_bit(pack, images_of, tmp_path) -> None:
    data = images_of(1, 8, 8)
    plain = pack(*_FC, "training.eval_every=40", every=None)
    saved = pack(*_FC, "training.eval_every=40", every=1)
    assert [t.key for t in plain] == [t.key for t in saved]
    assert _numbers(fit(saved, data, checkpoints=tmp_path)) == _numbers(fit(plain, data))


@pytest.mark.parametrize("damage", ["payload", "header", "empty", "conditions"])
def test_a_damaged_checkpoint_is_warned_of_and_trained_anew(damage, pack, images_of, tmp_path) -> None:
    data, trials = images_of(1, 8, 8), pack(*_FC)
    uninterrupted = _numbers(fit(trials, data))
    with pytest.raises(Killed):
        fit(trials, data, report=_Steps(20), checkpoints=tmp_path)
    [file] = tmp_path.iterdir()
    content = file.read_bytes()
    broken = {
        "payload": content[:-100] + b"\0" * 100,
        "header": content[1:],
        "empty": b"",
        "conditions": content.replace(b'"conditions": {', b'"conditions": {"cpu": "another", ', 1),
    }
    file.write_bytes(broken[damage])
    steps = _Steps()
    with pytest.warns(UserWarning, match=r"checkpoint .* (damaged|was made on .*another).*trained from the start"):
        again = fit(trials, data, report=steps, checkpoints=tmp_path)
    assert _numbers(again) == uninterrupted
    assert steps.heard[0] == 5


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(pack, images_of, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write", full)
    data, trials = images_of(1, 8, 8), pack(*_FC)
    with pytest.warns(UserWarning, match="cannot be written .*No space left"):
        results = fit(trials, data, checkpoints=tmp_path)
    assert [result.status for result in results] == ["finished"] * 3


def test_without_checkpoint_every_nothing_is_written(pack, images_of, tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(pack(*_FC, every=None), images_of(1, 8, 8), checkpoints=tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_files_of_finished_packs_are_removed_and_no_others(tmp_path) -> None:
    for keys in (["a", "b"], ["b", "c"], ["d"]):
        checkpoints.write(checkpoints.path_for(tmp_path, keys), keys, {}, b"state")
    (tmp_path / "other.checkpoint").write_text("not one of ours\n")
    checkpoints.remove(tmp_path, ["a", "b", "d"])
    assert checkpoints.begun_packs(tmp_path) == [["b", "c"]]
    assert checkpoints.read(checkpoints.path_for(tmp_path, ["b", "c"]), {}) == b"state"
