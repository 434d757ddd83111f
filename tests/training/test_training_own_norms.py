"""What is known of a norm of one's own: what it declares, or what its class is; and what follows for biases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnbench.cli.explain import explain
from bnbench.config import Statistics, Trial
from bnbench.models import build_model
from bnbench.norms import norm_kind
from bnbench.packing.packability import packability
from bnbench.record import names
from bnbench.sweep.planning.norm_rules import undefined_reason
from bnbench.training.fit import fit

_FILE = """
import torch
from torch import nn
from bnbench.norms import StatisticsNorm
from bnbench.norms.batch import BatchNorm


class LargestSoFar(StatisticsNorm):
    # Divides by the largest absolute value that a channel had while training.
    def __init__(self, features, norm):
        super().__init__(features, eps=1e-3, affine=True)
        self.register_buffer("running", torch.ones(features))
        self.register_buffer("precise", torch.ones(features), persistent=False)

    def batch_statistics(self, x):
        return (self.rows(x).abs().amax((1, 2)),)

    def take_population(self, batches):
        self.precise.copy_(torch.stack([largest for (largest,) in batches]).amax(0).view_as(self.precise))

    def forward(self, x):
        (batch,) = self.batch_statistics(x.detach())
        if self.training:
            self.running.copy_(torch.maximum(self.running, batch.view_as(self.running)))
        kept = {"running": self.running, "precise": self.precise, "initial": torch.ones_like(self.running)}
        largest = batch if self.statistics == "batch" and not self.training else kept[self.statistics]
        rows = self.rows(x) / (largest.view(-1, 1, 1) + self.eps)
        return self.from_rows(self.scale_and_shift(rows), x)


def torchs(features, norm):
    return nn.BatchNorm1d(features)


def ours(features, norm):
    return BatchNorm(features, momentum=norm.momentum, eps=norm.eps)


def first(features, norm):
    return nn.Sequential(nn.BatchNorm1d(features), nn.LayerNorm(features))


def last(features, norm):
    return nn.Sequential(nn.LayerNorm(features), nn.BatchNorm1d(features))


class ByHand(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))

    def forward(self, x):
        return self.weight * (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt() + self.bias


class Declared(ByHand):
    removes_shift = True
    over_batch = True


class Subclass(nn.BatchNorm1d):
    pass


def by_function(features, norm):
    return ByHand(features)


by_function.removes_shift = True
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[str, ...]]:
    """The overrides of a norm that a file of the user's own makes."""
    module = f"norms_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(_FILE)
    monkeypatch.chdir(tmp_path)
    return lambda name: ("norm.name=custom", f"norm.factory={module}:{name}", "model.width=7", "data.name=digits")


@pytest.mark.parametrize(
    ("name", "removes_shift", "over_batch"),
    [
        ("torchs", True, True),
        ("ours", True, True),
        ("first", True, True),
        ("last", False, True),
        ("ByHand", None, None),
        ("Declared", True, True),
        ("Subclass", None, None),
        ("by_function", True, None),
    ],
)
def test_a_norm_is_known_by_what_it_declares_or_what_it_is(
    name: str, removes_shift: bool | None, over_batch: bool | None, own, trial_of
) -> None:
    trial: Trial = trial_of(*own(name))
    kind = norm_kind(trial.norm, 7)
    assert (kind.removes_shift, kind.over_batch) == (removes_shift, over_batch)
    biases = [name for name, _ in build_model(trial, (1, 8, 8), 10).named_parameters() if name.endswith("layer.bias")]
    assert bool(biases) == (not removes_shift)


def test_torch_s_batch_norm_as_one_s_own_trains_like_norm_batch(own, trial_of, images_of) -> None:
    """Judge: norm=batch, whose digits it must have, biases and all."""
    steps = ("training.steps=9", "training.batch_size=9", "training.engine=torch")
    [batch] = fit([trial_of("norm.name=batch", *own("torchs")[2:], *steps)], images_of(1, 8, 8))
    [mine] = fit([trial_of(*own("torchs"), *steps)], images_of(1, 8, 8))
    assert mine.metrics == batch.metrics
    assert np.array_equal(mine.curves["val/loss"], batch.curves["val/loss"])


@pytest.mark.parametrize(
    ("name", "said", "unsaid"),
    [
        ("torchs", ["follows directly: it subtracts the mean", "over examples"], "each example is normalized"),
        ("ByHand", ["does not declare removes_shift", "does not declare over_batch"], "each example is normalized"),
    ],
)
def test_explain_says_over_what_a_norm_of_one_s_own_normalizes(name, said, unsaid, own, trial_of) -> None:
    page = explain(trial_of(*own(name)), (1, 8, 8), 10)
    assert all(words in page for words in said)
    assert unsaid not in page


def test_one_value_a_channel_is_undefined_for_a_batch_norm_of_one_s_own(own, trial_of) -> None:
    reason = undefined_reason(trial_of(*own("torchs"), "training.batch_size=1"))
    assert reason is not None
    assert "use norm=none, norm=layer or training.batch_size>=2" in reason
    assert "norm.single_value" not in reason
    assert undefined_reason(trial_of(*own("torchs"), "training.batch_size=2")) is None


def test_every_key_that_a_norm_of_one_s_own_is_given_is_part_of_its_trial(own, trial_of) -> None:
    one, other = (trial_of(*own("torchs"), f"norm.r_max={value}") for value in (1, 2))
    assert one.key != other.key


@pytest.mark.parametrize("inference", Statistics)
def test_a_norm_of_one_s_own_that_keeps_statistics_is_evaluated_under_each_kind(
    inference: Statistics, own, trial_of, images_of
) -> None:
    overrides = (*own("LargestSoFar"), "training.steps=20", "training.batch_size=10", f"norm.inference={inference}")
    trials = [trial_of(*overrides, f"seed={seed}", train_size=210) for seed in range(2)]
    assert packability(trials[0]).why_alone is None
    data = images_of(1, 8, 8, count=300)
    for packed, lone in zip(fit(trials, data), [fit([trial], data)[0] for trial in trials], strict=True):
        under = {kind: packed.metrics[names.test_acc_under(kind)] for kind in Statistics}
        assert packed.metrics[names.TEST_ACC] == under[inference]
        assert len({*under.values()}) > 1
        assert packed.metrics == lone.metrics
