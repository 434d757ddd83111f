"""Every claim that comes with bnbench, on its own sweep: where it is true, where false, and where nothing matters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from bnbench.analysis import Analysis
from bnbench.claims import Claim, Judgment, Verdict, not_run
from bnbench.claims.judgment import judge as judge_analysed
from bnbench.config.folder import conf_dir
from bnbench.record import names
from bnbench.record.sweep_record import FoundOut, TimedArm, TimingRecord
from bnbench.record.sweep_table import SweepTable

Params = dict[str, Any]
World = Callable[[Params, float, np.random.Generator], dict[str, Any]]
PlanSweep = Callable[..., Any]
MadeUp = Callable[..., SweepTable]

# Learning rates as the sweeps have them, by model; the truth has its best in the middle.
_TARGETS: dict[str, tuple[float, ...]] = {"fc": (0.85, 0.9), "cnn": (0.8,)}
_MIDDLE = {"fc": 0.3, "cnn": 0.003}


def judge(claim: Claim, table: SweepTable) -> Judgment:
    return judge_analysed(claim, Analysis(table))


def _scored(params: Params, score: float, rng: np.random.Generator, **more: Any) -> dict[str, Any]:
    """A finished trial of this accuracy, less what a learning rate far from the middle costs."""
    slow = params["model.activation"] == "sigmoid" and params["training.steps"] == 600  # the sweep of convergence
    middle = 3.0 if slow else _MIDDLE[params["model"]]
    acc = score - 0.02 * abs(math.log10(params["optimizer.lr"] / middle)) + 0.002 * rng.standard_normal()
    return {names.TEST_ACC: acc, names.ACC_BEST: acc, **more}


def _gain(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Batch norm is better by 6 points, and as much worse where the effect is negative."""
    return _scored(params, 0.8 + 0.06 * effect * (params["norm"] == "batch"), rng)


def _reaching(params: Params, steps: float, targets: tuple[float, ...], rng: np.random.Generator) -> dict[str, Any]:
    """A trial that meets all its targets at the first evaluation after so many steps."""
    budget = params["training.steps"]
    grid = sorted({*np.unique(np.geomspace(1, budget, 50).astype(int)).tolist(), budget})
    hit = next((step for step in grid if step >= steps), None)
    more: dict[str, Any] = {names.VAL_ACC: {step: float(hit is not None and step >= hit) for step in grid}}
    for target in targets:
        more |= {
            names.steps_to(target): math.nan if hit is None else hit,
            names.reached(target): float(hit is not None),
        }
    return _scored(params, 0.8, rng, **more)


def _speed(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Batch norm takes a third of the steps."""
    steps = 100 * 3 ** (-effect * (params["norm"] == "batch")) * math.exp(0.1 * rng.standard_normal())
    return _reaching(params, steps, _TARGETS[params["model"]], rng)


def _fourteen(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    times = 14 if effect > 0 else 3 if effect else 1
    steps = 200 * times ** -float(params["norm"] == "batch") * math.exp(0.1 * rng.standard_normal())
    return _reaching(params, steps, (0.9,), rng)


def _window(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Batch norm trains up to a learning rate one decade higher."""
    most = 0.3 * 10 ** (effect * (params["norm"] == "batch")) * math.exp(0.3 * rng.standard_normal())
    if params["optimizer.lr"] > most:
        return {"status": "diverged", "diverged_step": 3}
    return _scored(params, 0.9, rng)


def _rate(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """The two are the same at each learning rate, and batch norm goes on to gain with a larger one."""
    place = math.log10(params["optimizer.lr"] / {"fc": 0.3, "cnn": 0.003}[params["model"]])
    place -= 0.5 * (params["model.activation"] == "sigmoid")
    batch = params["norm"] == "batch"
    acc = 0.9 - 0.04 * abs(place) + 0.001 * rng.standard_normal()
    if batch and effect > 0 and place > 0.4:
        acc = 0.93 - 0.04 * abs(place - 0.5)
    if batch and effect < 0:
        acc += 0.03
    return {names.TEST_ACC: acc, names.ACC_BEST: acc}


def _sensitive(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Without batch norm accuracy falls with the distance from a scale of 0.05."""
    loses = (params["norm"] != "batch") if effect > 0 else (params["norm"] == "batch")
    loss = 0.1 * abs(math.log10(params["model.init_sd"] / 0.05)) * loses * abs(effect)
    return _scored(params, 0.9 - loss, rng)


def _bias(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    return _scored(params, 0.9 + 0.03 * (effect < 0) * (params["model.bias"] == "always"), rng)


def _small_batch(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    batch = params["norm"] == "batch" and params["training.batch_size"] == 1
    acc = 0.85 - 0.06 * effect * batch + 0.002 * rng.standard_normal()
    return {names.TEST_ACC: acc, names.ACC_BEST: acc, names.VAL_ACC: {0: acc}, names.VAL_ACC_BATCH: {0: acc}}


def _inference(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    kinds = {"running": 0.9, "batch": 0.9, "precise": 0.9, "initial": 0.3}
    more = {names.test_acc_under(kind): value for kind, value in kinds.items()}
    more[names.test_acc_one_by_one_under("running")] = 0.9 + 0.01 * rng.standard_normal()
    more[names.test_acc_one_by_one_under("batch")] = 0.1 if effect > 0 else 0.85
    slow = 0.05 * effect * (params["norm.inference"] == "running") * (params["training.steps"] == 50)
    return _scored(params, 0.9 - slow, rng, **more)


def _placed(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    acc = 0.8 + 0.03 * effect * (params.get("norm.placement") == "before")
    middle = {"fc": 0.2, "cnn": 0.003}[params["model"]]
    acc += 0.002 * rng.standard_normal() - 0.02 * abs(math.log10(params["optimizer.lr"] / middle))
    counts = {names.PARAMETERS: 1.0, names.STATISTICS: 0.0}
    return {names.TEST_ACC: acc, names.ACC_BEST: acc, **counts}


def _searched(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    easy = (params["norm"] == "batch") == (effect > 0)
    good = rng.random() < (0.6 if easy or effect == 0 else 0.2)
    acc = (0.9 if good else 0.5) + 0.002 * rng.standard_normal()
    return {names.TEST_ACC: acc, names.ACC_BEST: acc}


def _exploding(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    prone = (params["norm"] == "none") == (effect > 0)
    if rng.random() < (0.3 if prone or effect == 0 else 0.05):
        return {"status": "diverged", "diverged_step": 3}
    return _scored(params, 0.9, rng)


def _affine(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    acc = 0.8 + 0.03 * effect * params["norm.affine"] + 0.002 * rng.standard_normal()
    acc -= 0.02 * abs(math.log10(params["optimizer.lr"] / 0.3))
    return {names.TEST_ACC: acc, names.ACC_BEST: acc}


def _deep(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Gradients shrink by 0.2 decades a layer, and deep networks collapse, except with batch norm."""
    flat = (params["norm"] == "batch") == (effect > 0)
    slope = 0.2 * (not flat or effect == 0) + 0.02 * rng.standard_normal()
    dead = params["model.depth"] == 20 and not flat and effect != 0
    curve = {names.GRADIENT_SLOPE: {0: slope, 300: slope}}
    return {names.TEST_ACC: 0.1, names.ACC_BEST: 0.1, **curve} if dead else _scored(params, 0.9, rng, **curve)


def _noisy(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Batch norm turns gradients less, has a smaller beta, drifts less, and is slower with noise after it."""
    batch = effect * (params["norm"] == "batch")
    noise = 0.05 * rng.standard_normal(3)
    curves = {
        names.SHIFT_COSINE: {0: 0.5 + 0.3 * batch + noise[0]},
        names.EFFECTIVE_BETA: {0: 2 - batch + noise[1]},
        names.SHIFT_DISTANCE: {0: 2 - batch + noise[1]},
        names.ACTIVATION_DRIFT_PERCENTILES: {0: 1 - 0.5 * batch + noise[2]},
    }
    reached = _reaching(params, 60 * 2**-batch * math.exp(0.1 * rng.standard_normal()), _TARGETS[params["model"]], rng)
    middle = {"fc": 0.2, "cnn": 0.003}[params["model"]]
    acc = 0.8 - 0.02 * abs(math.log10(params["optimizer.lr"] / middle)) + 0.002 * rng.standard_normal()
    return reached | curves | {names.TEST_ACC: acc, names.ACC_BEST: acc, names.VAL_ACC: reached[names.VAL_ACC]}


def _regular(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Batch norm closes 3 points of the gap at batch size 16, and less at each larger one."""
    gain = effect * (params["norm"] == "batch") * 0.03 * (1 - math.log2(params["training.batch_size"] / 16) / 6)
    acc = 0.85 + gain + 0.002 * rng.standard_normal()
    return {names.TEST_ACC: acc, names.ACC_BEST: acc, names.TRAIN_ACC: {0: 1.0}}


def _scaled(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Raw pixels take three times the steps of standardized ones."""
    steps = 60 * 3 ** (effect * (params["data.scaling"] == "raw")) * math.exp(0.1 * rng.standard_normal())
    acc = 0.8 - 0.02 * abs(math.log10(params["optimizer.lr"] / 0.003)) + 0.002 * rng.standard_normal()
    return _reaching({**params, "model.activation": ""}, steps, (0.85,), rng) | {
        names.TEST_ACC: acc,
        names.ACC_BEST: acc,
    }


def _shifted(params: Params, effect: float, rng: np.random.Generator) -> dict[str, Any]:
    """Batch norm loses 5 points less under every change of the images."""
    drop = 0.2 - 0.05 * effect * (params["norm"] == "batch") + 0.005 * rng.standard_normal()
    drops = {names.test_acc_drop(shift, kind): drop for shift in names.TestShift for kind in ("running", "batch")}
    return {names.TEST_ACC: 0.9, names.ACC_BEST: 0.9, **drops}


_SUPPORTED, _REFUTED = Verdict.supported, Verdict.refuted
WORLDS: dict[str, tuple[World, Verdict, Verdict]] = {  # the verdict where the claim is true, and where it is false
    "C1": (_speed, _SUPPORTED, _REFUTED),
    "C1b": (_fourteen, _SUPPORTED, _REFUTED),
    "C2": (_window, _SUPPORTED, _REFUTED),
    "C4": (_deep, _SUPPORTED, _REFUTED),
    "C5": (_gain, _SUPPORTED, _REFUTED),
    "C3": (_sensitive, _SUPPORTED, _REFUTED),
    "C6": (_regular, _SUPPORTED, _REFUTED),
    "C7": (_bias, _SUPPORTED, _REFUTED),
    "C9": (_small_batch, _SUPPORTED, _REFUTED),
    "C10": (_inference, _SUPPORTED, _REFUTED),
    "C10b": (_inference, _SUPPORTED, _REFUTED),
    "C11": (_placed, _SUPPORTED, _REFUTED),
    "C13": (_noisy, _SUPPORTED, _REFUTED),
    "C14": (_gain, _SUPPORTED, _REFUTED),
    "C15": (_searched, _SUPPORTED, _REFUTED),
    "C16": (_exploding, _SUPPORTED, _REFUTED),
    "C17": (_affine, _SUPPORTED, _REFUTED),
    "C18": (_scaled, _SUPPORTED, _REFUTED),
    "C19": (_noisy, _SUPPORTED, _REFUTED),
    "C20": (_shifted, _SUPPORTED, _REFUTED),
}


def _judged(id: str, effect: float, claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp) -> Any:
    planned = plan_sweep(claims[id].sweep)
    return judge(claims[id], made_up(planned, lambda params, rng: WORLDS[id][0](params, effect, rng)))


@pytest.mark.parametrize("id", WORLDS)
def test_a_claim_is_supported_where_it_is_true_and_refuted_where_it_is_false(
    id: str, claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp
) -> None:
    for effect, expected in ((1, WORLDS[id][1]), (-1, WORLDS[id][2])):
        judgment = _judged(id, effect, claims, plan_sweep, made_up)
        assert judgment.verdict == expected, judgment.evidence


@pytest.mark.parametrize("id", sorted({*WORLDS} - {"C1b", "C7"}))
def test_no_claim_of_a_difference_is_supported_where_nothing_matters(
    id: str, claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp
) -> None:
    assert _judged(id, 0, claims, plan_sweep, made_up).verdict != Verdict.supported


@pytest.mark.parametrize(
    ("effect", "expected"),
    [(1, Verdict.supported), (0, Verdict.refuted), (-1, Verdict.refuted)],
    ids=["only a larger rate helps", "nothing matters", "it leads at equal rates"],
)
def test_the_learning_rate_is_the_cause_only_if_nothing_is_left_at_equal_rates(
    effect: float, expected: Verdict, claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp
) -> None:
    table = made_up(plan_sweep("convergence"), lambda params, rng: _rate(params, effect, rng))
    judgment = judge(claims["C2b"], table)
    assert judgment.verdict == expected, judgment.evidence


@pytest.mark.parametrize(("extra", "expected"), [(0, Verdict.exact), (1, Verdict.refuted)])
def test_parameters_are_counted_exactly(
    extra: int, expected: Verdict, claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp
) -> None:
    """FC with 3 layers of 100 and the deep CNN at half width, whose 19 convs have 2 * l channels, then 100 features."""

    def counts(params: Params, rng: np.random.Generator) -> dict[str, Any]:
        channels = 300 if params["model"] == "fc" else sum(2 * layer for layer in range(1, 20)) + 100
        batch, before = params["norm"] == "batch", params.get("norm.placement") == "before"
        trainable = 50_000 + batch * 2 * channels - before * channels + extra * before
        return {names.TEST_ACC: 0.9, names.PARAMETERS: float(trainable), names.STATISTICS: 2.0 * channels * batch}

    judgment = judge(claims["C8"], made_up(plan_sweep("placement"), counts))
    assert judgment.verdict == expected, judgment.evidence


def test_what_cannot_be_run_yet_says_what_is_missing(
    claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp
) -> None:
    claim = claims["C12"]
    assert "run it: python -m bnbench +sweep=activation" in not_run(claim).evidence
    trained = judge(claim, made_up(plan_sweep(claim.sweep), lambda params, rng: _gain(params, 1, rng)))
    assert trained.verdict == Verdict.inconclusive
    assert "not run; it needs a norm inserted in the middle of a training" in trained.evidence


def test_a_constant_output_is_no_minimum_to_escape_from(
    claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp
) -> None:
    def stuck(params: Params, rng: np.random.Generator) -> dict[str, Any]:
        return _scored(params, 0.0, rng) if params["norm"] == "none" else _gain(params, 1, rng)

    claim = claims["C12"]
    assert judge(claim, made_up(plan_sweep(claim.sweep), stuck)).verdict == Verdict.untestable


def test_every_sweep_that_a_claim_needs_is_in_the_sweep_of_all_claims(claims: dict[str, Claim]) -> None:
    parts = yaml.safe_load((conf_dir() / "sweep" / "claims.yaml").read_text())["sweep"]["parts"]
    assert {*parts} == {claim.sweep for claim in claims.values() if not claim.missing}


def test_every_sweep_of_a_claim_has_a_full_size_that_composes(claims: dict[str, Claim], plan_sweep: PlanSweep) -> None:
    for sweep in {claim.sweep for claim in claims.values()}:
        full = OmegaConf.load(conf_dir() / "sweep" / f"{sweep}.yaml").sweep.full
        assert full, sweep
    _, quick = plan_sweep("bias")
    _, full = plan_sweep("bias", "sweep.size=full")
    assert {trial.data.name for trial, _ in full} == {"mnist", "fashion_mnist"}
    assert len(full) == 2 * len(quick)


@pytest.mark.parametrize(
    ("slower", "expected"), [(1.0, Verdict.supported), (1.5, Verdict.supported), (4.0, Verdict.refuted)]
)
def test_seconds_are_steps_times_what_a_step_takes(
    slower: float, expected: Verdict, claims: dict[str, Claim], plan_sweep: PlanSweep, made_up: MadeUp
) -> None:
    """Batch norm takes a third of the steps, and each of them takes so much longer."""
    table = made_up(plan_sweep("convergence"), lambda params, rng: _speed(params, 1, rng))
    (seconds,) = (result for result in judge(claims["C1"], table).results if "seconds" in result.test.name)
    assert "its steps were not timed: python -m bnbench time +sweep=convergence" in seconds.evidence
    rounds = np.array([0.98, 1.0, 1.02, 1.0, 1.01])
    arms = [
        TimedArm(norm, "", [*(pace * rounds)], [*table.trials["key"][table.trials["norm"] == norm]])
        for norm, pace in (("none", 1e-3), ("batch", slower * 1e-3 * rounds))
    ]
    timing = TimingRecord("convergence", arms)
    table = replace(table, record=replace(table.record, found_out=FoundOut(timing=timing)))
    (seconds,) = (result for result in judge(claims["C1"], table).results if "seconds" in result.test.name)
    assert seconds.verdict == expected, seconds.evidence
