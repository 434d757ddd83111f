"""Networks of lanes to the bit: alone, in any lane, beside any neighbour, and on every instruction set."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch
from network_cases import (
    CNN,
    FC,
    LOGITS,
    NORMS,
    OTHERS,
    Case,
    dropping,
    names,
    read,
    write,
)
from torch import Tensor

from bnbench.config import Loss, ModelConfig
from bnbench.lanes.layers import Activation
from bnbench.lanes.network import LaneNetwork, Normalizer, Rule, Settings

_STEPS = 5
_ALL = [*range(16)]

# What came out where these were first trained; a change of it is another numerics version.
GOLDEN = {"fc": "c6714f32a598169d", "cnn": "25fa750353d6c8a0", "few": "e99a536363704aa5"}


def results(case: Case, network: LaneNetwork, seeds: list[int], steps: int = _STEPS) -> list[dict[str, Tensor]]:
    """By trial: the state and the optimizer's after training, the losses, and an evaluation."""
    losses, right = network.train(case.source(seeds), case.rows(steps, seeds), case.lrs(steps, seeds))
    rows = torch.arange(130).expand(len(seeds), 130)
    evaluated = [torch.stack(network.evaluate(case.source(seeds), rows, normalizer)) for normalizer in Normalizer]
    states = read(network, case.net(0).state_dict(), network.rule.moments)
    for trial, state in enumerate(states):
        state |= {"losses": losses[:, trial], "right": right[:, trial]}
        state |= {f"evaluated.{i}": values[:, trial] for i, values in enumerate(evaluated)}
    return states


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


CASES = {
    "fc-none-sgd-1": Case(FC, NORMS["none"], (1, 7, 5), 1),
    "fc-none-sgd": Case(FC, NORMS["none"], (3, 7, 5), 5),
    "fc-before-adam": Case(FC, NORMS["before"], (1, 7, 5), 70, Rule.adam, lr=0.01),
    "fc-after-sigmoid-loss": Case(
        replace(FC, activation="gelu"), NORMS["after"], (1, 7, 5), 9, Rule.nesterov, Loss.sigmoid
    ),
    "cnn-before-adamw": Case(CNN, NORMS["before"], (1, 28, 28), 5, Rule.adamw, lr=0.01),
    "cnn-after-sgd": Case(CNN, NORMS["after"], (3, 13, 11), 6),
    "fc-before-sgd-3": Case(FC, NORMS["before"], (1, 7, 5), 3),  # few enough to look ahead
    "fc-sgd-1": Case(FC, NORMS["none"], (1, 7, 5), 1),
    "fc-after-softplus": Case(replace(FC, activation="softplus"), NORMS["after"], (1, 7, 5), 9, Rule.adam, lr=0.01),
    "fc-many-features": Case(replace(FC, widths=[70, 130]), NORMS["before"], (3, 7, 5), 70, Rule.momentum),
    "cnn-many-channels": Case(replace(CNN, depth=3, width=12), NORMS["after"], (1, 28, 28), 2, Rule.adam, lr=0.01),
    "cnn-to-one-pixel": Case(replace(CNN, stride_every=2, padding="same"), NORMS["before"], (1, 8, 8), 17, Rule.adam),
    "cnn-to-one-pixel-decay": Case(
        replace(CNN, stride_every=2, hidden=0),
        NORMS["after"],
        (1, 7, 5),
        9,
        Rule.momentum,
        settings=lambda seed: Settings(0.9, weight_decay=0.05),
    ),
    "fc-layer-adam": Case(FC, OTHERS["layer"], (1, 7, 5), 70, Rule.adam, lr=0.01),
    "fc-group-sgd-3": Case(replace(FC, widths=[18, 9]), replace(OTHERS["group"], placement="after"), (1, 7, 5), 3),
    "cnn-group-adamw": Case(replace(CNN, hidden=9), OTHERS["group"], (1, 16, 16), 5, Rule.adamw, lr=0.01),
    "cnn-instance": Case(
        replace(CNN, hidden=0, min_map=2), replace(OTHERS["instance"], placement="after"), (1, 16, 16), 9
    ),
    "cnn-rms": Case(CNN, replace(OTHERS["rms"], placement="after"), (3, 13, 11), 6, Rule.nesterov),
    "cnn-ghost": Case(CNN, OTHERS["ghost"], (3, 13, 11), 15, Rule.adam, lr=0.01),
    "cnn-renorm": Case(CNN, OTHERS["renorm"], (1, 16, 16), 9, Rule.adam, lr=0.01),
    "fc-frozen": Case(FC, OTHERS["frozen"], (1, 7, 5), 9, Rule.adam, lr=0.01),
    "cnn-filter": Case(replace(CNN, hidden=0, min_map=2), OTHERS["filter"], (1, 16, 16), 5, Rule.adam, lr=0.01),
    "fc-filter-after": Case(FC, replace(OTHERS["filter"], placement="after"), (1, 7, 5), 2),
    "fc-standardized": Case(FC, replace(NORMS["before"], weight_standardization=True), (1, 7, 5), 3),
    "cnn-standardized": Case(
        replace(CNN, hidden=9), replace(OTHERS["group"], weight_standardization=True), (1, 13, 13), 9, Rule.momentum
    ),
    "fc-logits-3": Case(FC, LOGITS["plain"], (1, 7, 5), 3),
    "cnn-logits-adam": Case(replace(CNN, depth=3), LOGITS["affine"], (1, 13, 13), 9, Rule.adam, lr=0.01),
    "fc-dropout-3": Case(replace(FC, dropout=0.5), NORMS["none"], (1, 7, 5), 3, settings=dropping),
    "cnn-dropout-adam": Case(
        replace(CNN, dropout=0.5, hidden=9), NORMS["before"], (3, 13, 11), 6, Rule.adam, settings=dropping, lr=0.01
    ),
    "fc-noisy-after": Case(
        replace(FC, activation="gelu"), replace(OTHERS["noisy"], placement="after", logits="affine"), (1, 7, 5), 9
    ),
    "cnn-noisy-dropout": Case(
        replace(CNN, dropout=0.5), OTHERS["noisy"], (1, 28, 28), 5, Rule.momentum, settings=dropping
    ),
    "fc-online-3": Case(FC, replace(OTHERS["online"], placement="after", logits="affine"), (1, 7, 5), 3),
    "cnn-online-adam": Case(CNN, OTHERS["online"], (3, 13, 11), 15, Rule.adam, lr=0.01),
    "cnn-none-momentum": Case(replace(CNN, activation="silu"), NORMS["none"], (1, 16, 16), 9, Rule.momentum),
}
_EVERY_CASE = pytest.mark.parametrize("name", CASES)


@_EVERY_CASE
def test_a_trial_has_the_same_bits_alone_and_in_any_lane(name, best) -> None:
    case = CASES[name]
    together = results(case, case.lanes(best, _ALL), _ALL)
    assert len({str(state["losses"]) for state in together}) == 16, "no two trials are alike"
    for seeds in (_ALL[::-1], [5, 11, 2], [9], [*range(3, 16, 2)]):
        found = results(case, case.lanes(best, seeds), seeds)
        assert all(same(state, together[seed]) for seed, state in zip(seeds, found, strict=True)), seeds


@_EVERY_CASE
@pytest.mark.parametrize("bad", [float("nan"), 1e30])
def test_diverged_neighbours_change_no_bit(name, bad, best) -> None:
    case = CASES[name]
    healthy, beside = case.lanes(best, _ALL), case.lanes(best, _ALL)
    states = read(beside, case.net(0).state_dict())
    sick = [{key: torch.full_like(value, bad) for key, value in state.items()} for state in states]
    write(beside, [sick[seed] if seed % 2 else states[seed] for seed in _ALL])
    expected, found = (results(case, network, _ALL) for network in (healthy, beside))
    assert all(same(expected[seed], found[seed]) for seed in _ALL[::2])


@_EVERY_CASE
def test_steps_in_one_call_are_steps_in_several(name, best) -> None:
    case = CASES[name]
    cut = steps_found_together(case)
    steps = [slice(0, cut), slice(cut, 3 * cut), slice(3 * cut, 3 * cut + 2)]
    whole, parts, resumed = (case.lanes(best, _ALL) for _ in range(3))
    expected = results(case, whole, _ALL, steps[-1].stop)
    rows, lrs, source = case.rows(steps[-1].stop, _ALL), case.lrs(steps[-1].stop, _ALL), case.source(_ALL)
    for part in steps[:-1]:
        parts.train(source, rows[part], lrs[part])
    kept = read(parts, case.net(0).state_dict(), parts.rule.moments)
    write_all(resumed, kept)
    resumed.set_taken(3 * cut)
    for network in (parts, resumed):
        network.train(source, rows[steps[-1]], lrs[steps[-1]])
        found = read(network, case.net(0).state_dict(), network.rule.moments)
        assert all(
            torch.equal(state[key], other[key]) for state, other in zip(found, expected, strict=True) for key in state
        )


def steps_found_together(case: Case) -> int:
    """Of so many steps the first layer's products are found together, counted from the first step of a call."""
    plain = case.rule == Rule.sgd and case.model.name == "fc" and not case.norm.weight_standardization
    return 16 // case.batch_size if plain and case.batch_size <= 5 else 1


def write_all(network: LaneNetwork, states: list[dict[str, Tensor]]) -> None:
    """Write parameters, statistics and what the optimizer keeps."""
    for name, layer, array in names(network):
        for key, moment in ((name, 0), (f"{name}.1", 1), (f"{name}.2", 2)):
            if key in states[0]:
                network.write(layer, array, torch.stack([state[key] for state in states]), moment)


@_EVERY_CASE
def test_an_evaluation_does_not_depend_on_how_many_images_a_call_has(name, best) -> None:
    case = CASES[name]
    network = case.lanes(best, [4])
    source, rows = case.source([4]), torch.arange(150).unsqueeze(0)
    parts = torch.stack(
        [
            torch.stack(network.evaluate(source, part, Normalizer.running))
            for part in rows.split([1, 1, 1, 5, 64, 78], 1)
        ]
    )
    whole = torch.stack(network.evaluate(source, rows, Normalizer.running))
    torch.testing.assert_close(parts.sum(0), whole, rtol=1e-12, atol=0)


@_EVERY_CASE
@pytest.mark.parametrize("instruction_set", ["avx2", "neon"])
def test_other_instruction_sets_have_the_bits_of_the_best(name, instruction_set, best, library) -> None:
    case = CASES[name]
    for seeds in (_ALL, [3, 8]):
        pairs = [results(case, case.lanes(of, seeds), seeds) for of in (best, library(instruction_set))]
        assert all(map(same, *pairs))


@pytest.mark.parametrize("activation", Activation)
def test_every_activation_has_the_same_bits_with_avx2(activation, best, library) -> None:
    for model, shape, norm in ((FC, (1, 7, 5), "after"), (CNN, (1, 14, 14), "before"), (CNN, (1, 8, 8), "after")):
        case = Case(replace(model, activation=activation.name), NORMS[norm], shape, 5, Rule.adam, lr=0.01)
        pairs = [results(case, case.lanes(of, [0, 9]), [0, 9]) for of in (best, library("avx2"))]
        assert all(map(same, *pairs))


def golden(kind: str) -> tuple[Case, int]:
    """A whole small training whose inputs come from whole numbers, and how many steps it has."""
    if kind == "fc":
        model = ModelConfig(name="fc", widths=[20, 9], activation="gelu")
        return Case(model, NORMS["after"], (1, 7, 5), 20, Rule.adam, lr=0.01), 30
    if kind == "few":
        return Case(ModelConfig(name="fc", widths=[20, 9]), NORMS["none"], (1, 28, 28), 2), 30
    model = ModelConfig(name="cnn", depth=8, width=4, hidden=12)
    return Case(model, NORMS["before"], (1, 28, 28), 6, Rule.momentum), 12


@pytest.mark.parametrize("instruction_set", ["avx512", "avx2", "neon"])
@pytest.mark.parametrize("kind", GOLDEN)
def test_whole_trainings_have_the_bits_that_they_had(kind, instruction_set, library) -> None:
    case, steps = golden(kind)
    digest = hashlib.sha256()
    for state in results(case, case.lanes(library(instruction_set), [0, 5, 10]), [0, 5, 10], steps):
        for name in sorted(state):
            digest.update(name.encode() + state[name].contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[kind]
