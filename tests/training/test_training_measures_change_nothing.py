"""Measures change nothing but the time: no other number, no state, and no bit with the pack."""

from dataclasses import replace

import pytest
import torch

from bnbench.config import Measure
from bnbench.norms import NORMS
from bnbench.optimizers.per_trial import make_optimizer
from bnbench.packing.lane_pack import LanePack
from bnbench.record import names
from bnbench.training.fit import fit, make_pack
from bnbench.training.image_batches import PackImages
from bnbench.training.measuring import TAKERS
from bnbench.training.module import PackModule
from bnbench.training.population import estimate_population
from bnbench.training.probe import probe

MODELS = {
    "fc": ("model.depth=4", "model.width=13"),
    "cnn": ("model.name=cnn", "model.depth=4", "model.stride_every=2", "model.width=2", "model.hidden=9"),
}
CHEAP = f"training.measures=[{','.join(measure for measure in Measure if measure != Measure.hessian)}]"
ALL = f"training.measures=[{','.join(Measure)}]"


@pytest.mark.parametrize(
    ("model", "norm", "optimizer"),
    [
        ("fc", "none", "sgd"),
        ("fc", "batch", "momentum"),
        ("cnn", "batch", "adam"),
        ("fc", "noisy_batch", "adam"),
        ("cnn", "online", "sgd"),
        ("fc", "batch_renorm", "sgd"),
        ("fc", "frozen_batch", "momentum"),
    ],
)
def test_measures_change_no_other_number(model, norm, optimizer, trial_of, images_of):
    measures = ALL if (model, norm) == ("fc", "batch") else CHEAP
    data = images_of(1, 8, 8)
    overrides = (
        *MODELS[model],
        f"norm.name={norm}",
        f"optimizer.name={optimizer}",
        f"optimizer.lr={0.001 if norm == 'frozen_batch' else 0.03}",  # whose logits' statistics do not follow
        "training.batch_size=14",
        "training.steps=9",  # two epochs
        "training.targets=[0.1]",
        "norm.renorm_warmup_steps=5",
        "model.dropout=0.3",
        "norm.logits=plain",
    )
    without = fit([trial_of(*overrides, f"seed={seed}") for seed in range(3)], data)
    measured = fit([trial_of(*overrides, measures, f"seed={seed}") for seed in range(3)], data)
    for a, b in zip(without, measured, strict=True):
        assert a.status == b.status == "finished"
        assert {key: b.metrics[key] for key in a.metrics} == a.metrics
        assert {key: b.curves[key] for key in a.curves} == a.curves
        assert len(b.curves) > len(a.curves)


def test_measures_on_the_grid_change_no_number_of_steps_on_few_examples(trial_of, images_of):
    """Of such steps the kernels take several together, from where a block begins; so blocks must not move."""
    data = images_of(1, 8, 8)
    overrides = (*MODELS["fc"], "norm.name=layer", "optimizer.lr=0.03", "training.batch_size=2", "training.steps=30")
    without = fit([trial_of(*overrides, f"seed={seed}") for seed in range(3)], data)
    measured = fit([trial_of(*overrides, CHEAP, f"seed={seed}") for seed in range(3)], data)
    for a, b in zip(without, measured, strict=True):
        assert {key: b.curves[key] for key in a.curves} == a.curves
        assert len(b.curves) > len(a.curves)


@pytest.fixture(scope="module")
def together(trial_of, images_of):
    """The overrides of a trial, and its result with all measures."""
    overrides = (*MODELS["fc"], "norm.name=noisy_batch", "model.dropout=0.2", "training.steps=6")
    overrides = (*overrides, "training.batch_size=42")
    return overrides, fit([trial_of(*overrides, ALL)], images_of(1, 8, 8))[0]


@pytest.mark.parametrize("measure", Measure)
def test_each_measure_alone_gives_what_all_together_give(measure, together, trial_of, images_of):
    overrides, whole = together
    (alone,) = fit([trial_of(*overrides, f"training.measures=[{measure}]")], images_of(1, 8, 8))
    assert len(alone.curves) + len(alone.metrics) < len(whole.curves) + len(whole.metrics)
    assert {key: whole.curves[key] for key in alone.curves} == alone.curves
    assert {key: whole.metrics[key] for key in alone.metrics} == alone.metrics


@pytest.mark.parametrize(
    ("norm", "optimizer"), [*((norm, "sgd") for norm in sorted(NORMS)), ("batch", "momentum"), ("none", "adam")]
)
def test_a_probe_leaves_no_trace(norm, optimizer, trial_of, images_of):
    data = images_of(1, 8, 8)
    overrides = (
        *MODELS["fc"],
        f"norm.name={norm}",
        f"optimizer.name={optimizer}",
        "norm.ghost_size=7",
        "norm.groups=1",
    )
    trials = [trial_of(*overrides, "training.batch_size=14", f"seed={seed}") for seed in range(2)]
    packed, packed_trials = make_pack(trials, data)
    images = PackImages(data, packed_trials)
    if packed.needs_population:
        estimate_population(packed, images)
    module = PackModule(packed, images, packed_trials)
    adam = make_optimizer(packed.parameters(), [t.optimizer for t in packed_trials.by_slot], packed.linear)
    for parameter in packed.parameters():
        parameter.grad = torch.full_like(parameter, 0.01)
    adam.step()

    def everything() -> list[torch.Tensor]:
        state = [value for each in adam.state.values() for value in each.values()]
        gradients = [p.grad for p in packed.parameters()]
        tensors = [*packed.parameters(), *packed.buffers(), *state, *gradients]
        return [torch.get_rng_state(), *(t.detach().clone() for t in tensors)]

    def settings() -> list:
        descents = [layer.descent for layer in packed.linear]
        hooks = [(*m._forward_hooks, *m._forward_pre_hooks) for m in packed.modules()]
        modes = [(m.training, getattr(m, "statistics", None)) for m in packed.modules()]
        return [descents, hooks, modes, [p.requires_grad for p in packed.parameters()], adam.steps_taken, adam.lrs]

    before, set_before = everything(), settings()
    with probe(module, adam, 1, None) as looking:
        for take in TAKERS.values():
            take(looking)
        looking.loss_and_gradients([*packed.parameters()])
        assert settings() != set_before or optimizer != "sgd", "it does change something meanwhile"
        with torch.no_grad():
            for value in (*packed.parameters(), *packed.buffers()):
                value.zero_()
    for old, new in zip(before, everything(), strict=True):
        assert torch.equal(old, new)
    assert settings() == set_before


@pytest.mark.parametrize("model", MODELS)
def test_measures_see_the_masks_and_the_noise_of_the_step_that_the_kernels_take_next(model, trial_of, images_of):
    data = images_of(1, 8, 8)
    overrides = (*MODELS[model], "norm.name=noisy_batch", "norm.logits=plain", "training.batch_size=14")
    trials = [trial_of(*overrides, f"model.dropout={0.2 + seed / 5}", f"seed={seed}") for seed in range(3)]
    packed, packed_trials = make_pack(trials, data)
    assert isinstance(packed, LanePack)
    images = PackImages(data, packed_trials)
    module = PackModule(packed, images, packed_trials)
    optimizer = make_optimizer(packed.parameters(), [t.optimizer for t in packed_trials.by_slot], packed.linear)
    packed.use_optimizer(optimizer)
    for step in range(3):
        with probe(module, optimizer, step, None) as looking:
            measured, _ = looking.loss_and_gradients([*packed.parameters()])
        rows = images.train_rows(step, step + 1)
        (losses, _) = packed.take_steps(images.source, rows, [module.lrs(step)])
        torch.testing.assert_close(measured, losses[:, 0].float(), rtol=1e-4, atol=0)


# The same in every pack.


@pytest.mark.parametrize(
    ("model", "activation", "norm", "measures"),
    [
        ("fc", "sigmoid", "batch", CHEAP),
        ("fc", "relu", "none", ALL),
        ("fc", "tanh", "online", CHEAP),
        ("cnn", "relu", "noisy_batch", CHEAP),
        ("cnn", "gelu", "batch", CHEAP),
        ("cnn", "relu", "layer", CHEAP),
    ],
)
def test_a_trial_s_measures_have_the_same_bits_in_every_pack(model, activation, norm, measures, trial_of, images_of):
    data = images_of(1, 8, 8)
    overrides = (*MODELS[model], f"norm.name={norm}", f"model.activation={activation}", measures)
    overrides = (*overrides, "training.steps=5", "training.batch_size=9")
    trials = [trial_of(*overrides, f"seed={s}", f"optimizer.lr={0.02 * (s + 1)}") for s in range(7)]
    expected = [(r.status, r.metrics, r.curves) for r in fit(trials, data)]
    assert all(names.GRADIENT_SLOPE in curves for _, _, curves in expected)
    for order in ([*range(6, -1, -1)], [4, 6, 1], [3]):
        for result, i in zip(fit([trials[i] for i in order], data), order, strict=True):
            for key, points in result.curves.items():
                assert points == expected[i][2][key], (key, order, i)
            assert (result.status, result.metrics) == expected[i][:2]


@pytest.mark.parametrize("model", MODELS)
def test_measures_follow_a_trial_whose_pack_shrinks(model, trial_of, images_of):
    data = images_of(1, 8, 8)
    overrides = (*MODELS[model], "norm.name=batch", "training.steps=8", CHEAP)
    overrides = (*overrides, "training.eval_grid=linear", "training.eval_every=1", "training.batch_size=7")
    healthy = [trial_of(*overrides, f"seed={seed}", f"optimizer.lr={0.01 * (1 + seed)}") for seed in range(3)]
    alone = [result.curves for result in fit(healthy, data)]
    sick = [replace(trial_of(*overrides, f"seed={seed}"), lr=float("nan")) for seed in range(7, 28)]
    places = (2, 11, 23)
    trials = [healthy[places.index(slot)] if slot in places else sick.pop() for slot in range(24)]
    results = fit(trials, data)
    assert [results[place].curves for place in places] == alone
    assert len(alone[0][names.ACTIVATION_DRIFT_MEAN]) == 2
    for i, result in enumerate(results):
        if i not in places:
            assert {step for points in result.curves.values() for step, _ in points} == {0}
