"""In random configurations, a trial gives the same bits alone and in any pack and order, whoever diverges beside it.

`test_training_same_bits.py` holds chosen networks to that, all healthy; here everything that a configuration may say is
drawn, and some of the trials overflow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bnbench.config import (
    Activation,
    Averaging,
    Init,
    LogitsNorm,
    Loss,
    OptimizerName,
    Padding,
    Placement,
    RunningVar,
    Statistics,
    Trial,
)
from bnbench.data import ImageData
from bnbench.norms import NORMS
from bnbench.record.results import TrialResult
from bnbench.training.fit import fit

_OVER_BATCH = sorted(name for name, norm in NORMS.items() if norm.over_batch)


def _any(draw: Any, **choices: Any) -> list[str]:
    """One override for each key, `_` for its dot, with a value drawn from a list."""
    return [
        f"{key.replace('__', '.')}={draw(st.sampled_from([*values]), label=key)}" for key, values in choices.items()
    ]


def _network(draw: Any) -> tuple[tuple[int, int, int], list[str]]:
    """The shape of the images and everything on which the trials of a pack agree."""
    channels = draw(st.integers(1, 33)) * 2  # what two groups divide
    if draw(st.booleans(), label="fc"):
        shape = draw(st.sampled_from([(1, 28, 28), (3, 5, 7), (1, 1, 1)]))
        model = ["model.name=fc", f"model.width={channels}", f"model.depth={draw(st.integers(1, 4))}"]
    else:
        shape = draw(st.sampled_from([(1, 8, 8), (3, 9, 6)]))
        model = ["model.name=cnn", f"model.width={draw(st.sampled_from([2, 4, 6]))}", f"model.hidden={channels}"]
        model += [f"model.depth={draw(st.integers(1, 6))}"]
        model += _any(draw, model__stride_every=[1, 2, 3], model__padding=Padding)
    # Without norm trials diverge the most easily; norms over the batch are what this is about.
    name = draw(st.sampled_from([*sorted(NORMS), *_OVER_BATCH, *["none"] * 6]), label="norm")
    ghost_size = draw(st.integers(2, 5))
    batch_size = ghost_size * draw(st.integers(1, 12), label="ghosts")
    fixed = [f"norm.name={name}", "norm.groups=2", f"norm.ghost_size={ghost_size}", f"training.batch_size={batch_size}"]
    if name == "batch":
        fixed += _any(draw, norm__impl=["native", "manual"])
    fixed += _any(
        draw,
        norm__placement=Placement,
        norm__affine=[True, False],
        norm__logits=[*LogitsNorm, "none", "none"],
        norm__weight_standardization=[True, False, False],
        norm__averaging=Averaging,
        norm__running_var=RunningVar,
        norm__inference=Statistics,
        norm__eps=[1e-5, 1e-3],
        norm__r_max=[1, 3],
        model__activation=Activation,
        model__bias=["auto", "always", "never"],
        optimizer__name=OptimizerName,
        optimizer__nesterov=[True, False],
        training__loss=Loss,
        training__precision=["float32", "float32", "float64"],
        training__engine=["auto", "auto", "torch"],
        training__eval_grid=["geometric", "linear"],
        training__eval_every=[3, 100],  # blocks of three steps, or of all
        data__split=["fixed", "by_seed"],
        data__scaling=["unit", "symmetric", "standard"],
        data__train_examples=["null", 70],
    )
    if draw(st.booleans(), label="drops"):
        fixed.append("model.dropout=0.5")
    if draw(st.booleans(), label="decays"):
        fixed.append("optimizer.weight_decay=0.001")
    return shape, [*model, *fixed, "training.steps=8", "training.targets=[0.1,0.5]"]


def _own(draw: Any, seed: int, network: list[str]) -> list[str]:
    """What is a trial's own; all trials of a pack drop units or none does, and likewise for decay."""
    drawn = _any(
        draw,
        optimizer__lr=[1e-3, 0.01, 0.1, 1.0],
        optimizer__momentum=[0.0, 0.5, 0.9],
        optimizer__beta1=[0.5, 0.9],
        optimizer__beta2=[0.9, 0.999],
        norm__momentum=[0.1, 0.37, 1.0],
        model__init=[init for init in Init if init != Init.own],  # of networks of one's own
        model__init_gain=[0.3, 1.0, 2.0],
        **({"model__dropout": [0.2, 0.5]} if "model.dropout=0.5" in network else {}),
        **({"optimizer__weight_decay": [1e-4, 1e-2]} if "optimizer.weight_decay=0.001" in network else {}),
        schedule__name=["constant", "cosine", "linear"],
    )
    return [f"seed={seed}", *drawn]


# Rates too large for any number, weights multiplied by -1e38, -1e12 or -1e6 at every step, and weights that overflow
# at once: they are lost at different steps. These win over a trial's own settings; some norms and optimizers withstand
# some of them, which makes a neighbour as good as any.
_SICK = [
    ["optimizer.lr=1e30"],
    ["optimizer.lr=1e20", "optimizer.weight_decay=1e18"],
    ["optimizer.lr=1", "optimizer.weight_decay=1e12"],
    ["optimizer.lr=1", "optimizer.weight_decay=1e6"],
    ["model.init_gain=1e30"],
]


def _numbers(result: TrialResult) -> tuple[Any, ...]:
    return result.status, result.diverged_step, result.metrics, result.curves


def _hold(
    examples: int, largest: int, trial_of: Callable[..., Trial], images_of: Callable[..., ImageData], **how: Any
) -> Counter[int]:
    """Check so many random packs; how many trials were lost at which step."""
    lost: Counter[int] = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking is slow
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        **how,
    )
    @given(data=st.data())
    def holds(data: Any) -> None:
        draw = data.draw
        shape, network = _network(draw)
        images = images_of(*shape)
        healthy = draw(st.integers(1, largest), label="healthy")
        sick = draw(st.integers(1, 3), label="sick")
        decays = "optimizer.weight_decay=0.001" in network
        diseases = [how for how in _SICK if decays or not any("weight_decay" in override for override in how)]
        trials = [trial_of(*network, *_own(draw, slot // 2, network)) for slot in range(healthy)]
        for number in range(sick):
            worse = draw(st.sampled_from(diseases), label="sick")
            trials.append(trial_of(*network, *_own(draw, number, network), *worse))
        alone = [_numbers(fit([trial], images)[0]) for trial in trials]
        lost.update(step for _, step, *_ in alone if step is not None)
        everywhere = draw(st.permutations(range(len(trials))), label="order")
        some = draw(st.permutations(range(healthy)))[: draw(st.integers(1, healthy))]  # the healthy among themselves
        at = draw(st.integers(0, len(some)), label="slot of the sick")
        for order in (everywhere, everywhere[::-1], some, [*some[:at], healthy, *some[at:]]):
            packed = [_numbers(result) for result in fit([trials[i] for i in order], images)]
            assert [slot for slot, i in enumerate(order) if packed[slot] != alone[i]] == [], (order, healthy)

    holds()
    return lost


def test_a_trial_has_the_same_bits_beside_any_neighbours_diverging_ones_too(
    trial_of: Callable[..., Trial], images_of: Callable[..., ImageData]
) -> None:
    lost = _hold(16, 3, trial_of, images_of, derandomize=True)  # the same packs each time, so that enough are lost
    assert lost.total() >= 10
    assert len(lost) >= 3, "at different steps"


@pytest.mark.slow
def test_a_trial_has_the_same_bits_beside_any_neighbours_in_many_packs(
    trial_of: Callable[..., Trial], images_of: Callable[..., ImageData]
) -> None:
    assert _hold(120, 12, trial_of, images_of).total() >= 30
