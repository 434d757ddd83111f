"""Sweeps whose truth is known: planted results, run through plan, looks, a real store and report until settled.

The tests here run the few sweeps that would show a fault; the error rates of many are measured by

    python -m pytest -m slow -s tests/sweep/test_sweep_planted_truth.py
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, flag_override
from scipy import stats

import bnbench
from bnbench.analysis.contrast import Contrast
from bnbench.analysis.sequential import Settlement, State, looks_up_to
from bnbench.analysis.significance import ALPHA
from bnbench.sweep.planning.grid import parse_override
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.running.worker import train_pack

if TYPE_CHECKING:
    from conftest import Planted

_SD = 0.004  # of a pair's difference
_LOOKS = looks_up_to(64)
_WORDS = ("norm=none,batch", "model=fc", "model.width=8", "data=digits", "training.steps=2", "sweep.until=settled")


@dataclass(frozen=True)
class Truth:
    """What is planted: the accuracies of pairs, whose difference batch - none is normal.

    Attributes:
        effect: The mean difference, in standard deviations of the differences.
        margin: `sweep.margin_pp`, in the same unit; None for no margin.
        images: Accuracies are rounded to right answers of so many test images; None for exact ones.
        collapses: The share of the seeds on which batch learns nothing.
    """

    effect: float
    margin: float | None = None
    images: int | None = None
    collapses: float = 0.0

    def accuracy(self, sweep: int, level: str, seed: int) -> float:
        """The accuracy of a trial in the sweep of this number."""
        draw = random.Random(f"{sweep} {level} {seed}")
        mean = 0.8 + (self.effect * _SD if level == "batch" else 0.0)
        found = mean + draw.gauss(0, _SD / math.sqrt(2))
        if level == "batch" and draw.random() < self.collapses:
            return 0.1
        return found if self.images is None else round(found * self.images) / self.images

    def differences(self, sweep: int, pairs: int = _LOOKS[-1]) -> np.ndarray:
        """The differences of the first pairs."""
        seeds = range(pairs)
        return np.array([self.accuracy(sweep, "batch", s) - self.accuracy(sweep, "none", s) for s in seeds])

    @property
    def difference(self) -> float:
        """The true mean difference."""
        return self.effect * _SD


TRUTHS = {
    "no effect": Truth(0.0),
    "no effect, rounded": Truth(0.0, images=360),
    "within the margin": Truth(0.1, margin=0.9),
    "at the margin": Truth(0.5, margin=0.5),
    "small": Truth(0.5),
    "large": Truth(2.5),
    "collapsing": Truth(0.5, collapses=0.6),
}

Run = Callable[..., Contrast]


@pytest.fixture
def run(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the sweep of a number with a truth of that name, in an experiment of its own; gives its contrast."""
    monkeypatch.setattr(HydraSweep, "launch", _launcher())

    def run_one(name: str, number: int, *words: str) -> Contrast:
        truth = TRUTHS[name]
        planted.accuracies(lambda trial: truth.accuracy(number, trial.norm.name, trial.seed))
        margin = [] if truth.margin is None else [f"sweep.margin_pp={100 * truth.margin * _SD:g}"]
        before = len(planted.trained)
        sweep = bnbench.run(*_WORDS, *margin, f"runs_dir={tmp_path}", f"tracking.experiment='{name} {number}'", *words)
        (contrast,) = sweep.contents.analysis.asked
        assert len(planted.trained) - before == 2 * _settlement(contrast).pairs  # nothing was trained beyond its look
        return contrast

    return run_one


def _launcher() -> Callable[[HydraSweep, list[list[str]], Path], Sequence[JobReturn]]:
    """Runs jobs as Hydra's launchers do, but composes like ones once: that takes longer than planting their results."""
    composed: dict[tuple[str, ...], DictConfig] = {}

    def launch(hydra: HydraSweep, jobs: list[list[str]], folder: Path) -> Sequence[JobReturn]:
        for *words, pack in jobs:
            chosen = tuple(word for word in words if not word.startswith("tracking."))
            if chosen not in composed:
                composed[chosen] = hydra.compose([*chosen])
            config = composed[chosen].copy()
            with flag_override(config, ["readonly", "struct"], False):
                config.pack = parse_override(pack, "the job").value()
            train_pack(config)
        return [JobReturn(status=JobStatus.COMPLETED)]

    return launch


def _settlement(contrast: Contrast) -> Settlement:
    assert contrast.settlement is not None
    return contrast.settlement


def _covers(contrast: Contrast, truth: Truth) -> bool:
    low, high = contrast.interval.low, contrast.interval.high
    return low is None or high is None or low <= truth.difference <= high


def _would_be_claimed_without_allowing_for_looks(truth: Truth, number: int, looks: Sequence[int]) -> bool:
    """Whether the paired t test has p <= 5 % at any look."""
    d = truth.differences(number, looks[-1])
    return any(stats.ttest_1samp(d[:pairs], 0).pvalue <= 0.05 for pairs in looks)


def _mistaken(contrast: Contrast, truth: Truth) -> bool:
    """Whether what it is settled as is false."""
    beyond = abs(truth.effect) > (truth.margin or 0.0)
    match _settlement(contrast).state:
        case State.different:
            return not beyond or (contrast.interval.mean > 0) != (truth.effect > 0)
        case State.equivalent:
            return truth.margin is None or abs(truth.effect) >= truth.margin
    return False


def test_a_difference_that_one_look_alone_would_claim_is_left_open_where_there_are_more(run: Run) -> None:
    truth = TRUTHS["no effect"]
    by_chance = [number for number in range(156) if stats.ttest_1samp(truth.differences(number, 10), 0).pvalue < 0.05]
    found = [_settlement(run("no effect", number, "sweep.max_minutes=1e-9")) for number in by_chance]
    assert [(one.state, one.pairs) for one in found] == [(State.open, 10)] * 3


@pytest.mark.parametrize(
    ("name", "sweeps", "settled", "most_pairs"),
    [
        ("no effect, rounded", 1, State.open, 64),
        ("within the margin", 1, State.equivalent, 40),
        ("at the margin", 1, State.open, 64),
        ("small", 1, State.different, 56),
        ("large", 2, State.different, 16),
        ("collapsing", 1, State.failing, 32),
    ],
)
def test_what_is_planted_is_found_with_as_many_seeds_as_it_takes(
    name: str, sweeps: int, settled: State, most_pairs: int, run: Run
) -> None:
    found = [run(name, number) for number in range(sweeps)]
    assert {_settlement(one).state for one in found} == {settled}
    assert max(_settlement(one).pairs for one in found) <= most_pairs
    assert not any(_mistaken(one, TRUTHS[name]) for one in found)
    assert name == "collapsing" or all(_covers(one, TRUTHS[name]) for one in found)


_MANY = 40


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
def test_of_many_sweeps_few_are_mistaken_and_most_intervals_hold_the_truth(name: str, run: Run) -> None:
    truth = TRUTHS[name]
    found = [run(name, number) for number in range(_MANY)]
    states = Counter(str(_settlement(one).state) for one in found)
    mistaken, covered = sum(_mistaken(one, truth) for one in found), sum(_covers(one, truth) for one in found)
    pairs = [_settlement(one).pairs for one in found]
    means = [one.interval.mean for one in found]
    print(
        f"\n{name}: {dict(states)}; mistaken {mistaken}; mean pairs {np.mean(pairs):.1f}; "
        f"covered {covered} of {_MANY}; mean estimate {np.mean(means) / _SD:+.3f} sd (truth {truth.effect:+.1f})"
    )
    assert stats.binom.sf(mistaken - 1, _MANY, ALPHA) > 0.001
    assert name == "collapsing" or stats.binom.sf(_MANY - covered - 1, _MANY, ALPHA) > 0.001
    if truth.effect and name != "at the margin":
        assert states["open"] < 0.1 * _MANY
