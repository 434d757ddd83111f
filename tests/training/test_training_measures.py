"""Measures are what a plain torch network, trained step by step with obvious code, shows."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bnbench.config import Measure
from bnbench.config.evaluation_grid import coarse_steps
from bnbench.data import split_data
from bnbench.models import build_model
from bnbench.models.block import Block
from bnbench.norms.batch import BatchNorm
from bnbench.record import names
from bnbench.training.fit import fit
from bnbench.training.image_batches import BatchOrder

MODELS = {
    "fc": ("model.depth=4", "model.width=13"),
    "cnn": ("model.name=cnn", "model.depth=4", "model.stride_every=2", "model.width=2", "model.hidden=9"),
}
CHEAP = f"training.measures=[{','.join(measure for measure in Measure if measure != Measure.hessian)}]"
ALL = f"training.measures=[{','.join(Measure)}]"


class Plain:
    """One trial in plain torch: its network, and the images of its first steps."""

    def __init__(self, trial, data) -> None:
        self.trial = trial
        self.net = build_model(trial, data.shape, data.classes)
        self.images = torch.from_numpy(data.images).double() * torch.tensor(1 / 255, dtype=torch.float32).double()
        self.labels = torch.from_numpy(data.labels)
        split = split_data(data, kind=trial.data.split, seed=trial.seed)
        self.train, self.val = split.train, split.val
        self.order = BatchOrder(trial.seed, split.train, trial.training.batch_size)
        kinds = {
            "sgd": lambda p: torch.optim.SGD(p, lr=trial.lr, weight_decay=trial.optimizer.weight_decay),
            "adam": lambda p: torch.optim.Adam(p, lr=trial.lr),
        }
        self.optimizer = kinds[trial.optimizer.name](self.net.parameters())

    def batch(self, step: int):
        rows = self.order.rows(step, step + 1)[0]
        return self.images[rows], self.labels[rows]

    def step(self, step: int) -> None:
        self.optimizer.zero_grad()
        self.loss(self.net, step).backward()
        self.optimizer.step()

    def loss(self, net: nn.Module, step: int) -> torch.Tensor:
        x, labels = self.batch(step)
        return nn.functional.cross_entropy(net.train()(x), labels)

    def layers(self, net: nn.Module) -> list[nn.Module]:
        return [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]

    def accuracy(self, net: nn.Module, rows) -> float:
        with torch.no_grad():
            return (net.eval()(self.images[rows]).argmax(1) == self.labels[rows]).double().mean().item()

    def copy(self) -> nn.Module:
        return copy.deepcopy(self.net)


def gradients(plain: Plain, step: int) -> dict[str, float]:
    net = plain.copy()
    plain.loss(net, step).backward()
    layers = plain.layers(net)
    sizes = [layer.weight.grad.norm().item() for layer in layers]
    found = {names.GRADIENT_FIRST: sizes[0], names.GRADIENT_LAST: sizes[-2], names.GRADIENT_MAX: max(sizes)}
    found |= {names.layer_gradient(layer): size for layer, size in enumerate(sizes, start=1)}
    found[names.GRADIENT_SLOPE] = np.polyfit(range(len(sizes) - 2), np.log10(sizes[1:-1]), 1)[0]
    biases = [layer.bias.grad.flatten() for layer in layers[:-1] if layer.bias is not None]
    if biases:
        found[names.GRADIENT_BIAS] = torch.cat(biases).norm().item()
    return found


def effective_lr(plain: Plain, step: int) -> dict[str, float]:
    sizes = [layer.weight.norm().item() for layer in plain.layers(plain.net)[:-1]]
    return {
        names.WEIGHT_NORM: np.mean(sizes),
        names.EFFECTIVE_LR: np.mean([plain.trial.lr / size**2 for size in sizes]),
    }


def unit_inputs(plain: Plain) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """By hidden layer, what units got (n, C) and gave (n, C, positions) for the first 128 training images."""
    net = plain.copy().train()
    blocks = [m for m in net.modules() if isinstance(m, Block)]
    got: list[list] = [[] for _ in blocks]
    gave: list[list] = [[] for _ in blocks]
    head: list = []
    for i, block in enumerate(blocks):

        def look(module, inputs, output, i=i):
            (z,) = inputs
            got[i].append((z if z.dim() == 2 else z[:, :, z.shape[2] // 2, z.shape[3] // 2]).numpy())
            gave[i].append(output.flatten(2).numpy() if output.dim() == 4 else output.unsqueeze(2).numpy())

        block.activation.register_forward_hook(look)
    plain.layers(net)[-1].register_forward_pre_hook(lambda module, inputs: head.append(inputs[0].numpy()))
    with torch.no_grad():
        for step in range(128 // plain.trial.training.batch_size):
            net(plain.batch(step)[0])
    return [np.concatenate(z) for z in got], [np.concatenate(y) for y in gave], np.concatenate(head)


def activations(plain: Plain, step: int) -> dict[str, float]:
    inputs, outputs, _ = unit_inputs(plain)
    p15, p50, p85 = np.percentile(inputs[-1][:, 0], [15, 50, 85])
    found = {
        "activation/p15": p15,
        "activation/p50": p50,
        "activation/p85": p85,
        names.ACTIVATION_LARGEST: max(np.abs(z).max() for z in inputs),
        names.ACTIVATION_DEAD: np.mean([np.mean(np.ptp(y, axis=(0, 2)) == 0) for y in outputs]),
    }
    if plain.trial.model.activation in ("sigmoid", "tanh"):
        found[names.ACTIVATION_SATURATED] = np.mean([np.mean(np.abs(z) > 4) for z in inputs])
    return found


def rank(plain: Plain, step: int) -> dict[str, float]:
    _, _, features = unit_inputs(plain)
    eigenvalues = np.linalg.eigvalsh(features.T @ features)
    return {names.LAST_HIDDEN_RANK: eigenvalues.sum() ** 2 / (eigenvalues**2).sum()}


def gradient(plain: Plain, net: nn.Module, step: int) -> list[torch.Tensor]:
    net = copy.deepcopy(net)
    net.zero_grad()
    plain.loss(net, step).backward()
    return [p.grad for p in net.parameters()]


def a_step_later(plain: Plain, step: int) -> nn.Module:
    later = copy.deepcopy(plain)
    later.step(step)
    return later.net


def shift(plain: Plain, step: int) -> dict[str, float]:
    now, later = list(plain.net.parameters()), list(a_step_later(plain, step).parameters())
    layers = plain.layers(plain.net)
    chosen = {5: [1, 2, 3, 4], 6: [1, 2, 4, 5]}[len(layers)]
    distances, cosines = [], []
    for layer in (layers[i] for i in chosen):
        place = next(i for i, p in enumerate(now) if p is layer.weight)
        mixed = plain.copy()
        with torch.no_grad():
            for p, value in zip(mixed.parameters(), [*later[:place], *now[place:]], strict=True):
                p.copy_(value)
        before, after = gradient(plain, plain.net, step)[place], gradient(plain, mixed, step)[place]
        distances.append((after - before).norm().item())
        cosines.append(nn.functional.cosine_similarity(before.flatten(), after.flatten(), dim=0).item())
    return {names.SHIFT_DISTANCE: np.mean(distances), names.SHIFT_COSINE: np.mean(cosines)}


def smoothness(plain: Plain, step: int) -> dict[str, float]:
    later = a_step_later(plain, step)
    flat = nn.utils.parameters_to_vector
    start, end = flat(plain.net.parameters()).detach(), flat(later.parameters()).detach()
    here = torch.cat([g.flatten() for g in gradient(plain, plain.net, step)])
    losses, changes, betas = [], [], []
    for size in (0.5, 1, 2, 4):
        net = plain.copy()
        with torch.no_grad():
            nn.utils.vector_to_parameters(start + size * (end - start), net.parameters())
        losses.append(plain.loss(copy.deepcopy(net), step).item())
        there = torch.cat([g.flatten() for g in gradient(plain, net, step)])
        changes.append((there - here).norm().item())
        betas.append(changes[-1] / (size * (end - start)).norm().item())
    return {
        names.LOSS_RANGE: max(losses) - min(losses),
        names.GRADIENT_RANGE: max(changes),
        names.EFFECTIVE_BETA: max(betas),
    }


def population_gap(plain: Plain, step: int) -> dict[str, float]:
    precise = plain.copy().train()
    norms = [m for m in precise.modules() if isinstance(m, BatchNorm)]
    if not norms:
        return {}
    seen: list[list[torch.Tensor]] = [[] for _ in norms]
    for norm, batches in zip(norms, seen, strict=True):
        norm.register_forward_pre_hook(lambda _, inputs, to=batches: to.append(inputs[0].transpose(0, 1).flatten(1)))
    rows = np.concatenate([plain.order.rows(s, s + 1)[0] for s in range(len(plain.train) // 16)])
    with torch.no_grad():
        for part in np.array_split(rows, -(-len(rows) // 128)):
            precise(plain.images[part])
    for norm, batches in zip(norms, seen, strict=True):
        means = torch.stack([x.mean(1) for x in batches])
        variances = torch.stack([x.var(1, correction=0) for x in batches])
        norm.running_mean.copy_(means.mean(0))
        norm.running_var.copy_(variances.mean(0) + means.var(0, correction=0))
    return {names.POPULATION_GAP: plain.accuracy(precise, plain.val) - plain.accuracy(plain.copy(), plain.val)}


def last_batch(plain: Plain, step: int) -> dict[str, float]:
    net = plain.copy().eval()
    x, labels = plain.batch(max(step - 1, 0))
    with torch.no_grad():
        logits = net(x)
    return {
        names.LAST_BATCH_LOSS: nn.functional.cross_entropy(logits, labels).item(),
        names.LAST_BATCH_ACC: (logits.argmax(1) == labels).double().mean().item(),
    }


TWINS = {
    Measure.gradients: gradients,
    Measure.activations: activations,
    Measure.effective_lr: effective_lr,
    Measure.rank: rank,
    Measure.population_gap: population_gap,
    Measure.shift: shift,
    Measure.smoothness: smoothness,
    Measure.last_batch: last_batch,
}


def test_every_measure_has_a_twin():
    elsewhere = {Measure.test_shift, Measure.hessian}
    assert {*TWINS, *elsewhere} == set(Measure)


@pytest.mark.parametrize(
    ("model", "optimizer", "norm"),
    [
        ("fc", "sgd", ("norm.name=none", "model.activation=sigmoid", "model.init_gain=4")),
        ("fc", "adam", ("norm.name=batch", "norm.placement=before")),
        ("fc", "sgd", ("norm.name=batch", "norm.placement=after", "optimizer.weight_decay=0.01")),
        ("cnn", "sgd", ("norm.name=batch", "norm.placement=before", "model.bias=always")),
        ("cnn", "adam", ("norm.name=batch", "norm.placement=after", "model.activation=tanh")),
        ("cnn", "sgd", ("norm.name=layer",)),
    ],
    ids=str,
)
def test_measures_are_those_of_a_plain_torch_network_trained_step_by_step(model, norm, optimizer, trial_of, images_of):
    data = images_of(1, 8, 8, count=600)
    overrides = (
        *MODELS[model],
        *norm,
        f"optimizer.name={optimizer}",
        f"optimizer.lr={0.1 if optimizer == 'sgd' else 0.002}",
        "training.batch_size=16",
        "training.steps=6",
        "training.precision=float64",  # a few steps drift apart by rounding alone, and by no more than that
    )
    trials = [trial_of(*overrides, CHEAP, f"seed={seed}", train_size=420) for seed in (0, 4)]
    for trial, result in zip(trials, fit(trials, data), strict=True):
        plain = Plain(trial, data)
        inputs = []
        for step in range(7):
            if step in coarse_steps(trial):
                for kind, twin in TWINS.items():
                    for key, value in twin(plain, step).items():
                        assert dict(result.curves[key])[step] == pytest.approx(value, rel=1e-6, abs=1e-9), (kind, key)
                inputs.append(unit_inputs(plain)[0])
            if step < 6:
                plain.step(step)
        assert len(inputs) == 3
        drifts = [names.ACTIVATION_DRIFT_PERCENTILES, names.ACTIVATION_DRIFT_MEAN, names.ACTIVATION_DRIFT_VARIANCE]
        for before, now, at in zip(inputs, inputs[1:], coarse_steps(trial)[1:], strict=False):
            expected = np.mean([drift(a, b) for a, b in zip(before, now, strict=True)], axis=0)
            for key, value in zip(drifts, expected, strict=True):
                assert dict(result.curves[key])[at] == pytest.approx(value, rel=1e-6), key


def drift(a: np.ndarray, b: np.ndarray) -> list[float]:
    p, q = np.percentile(a, [15, 50, 85], axis=0), np.percentile(b, [15, 50, 85], axis=0)
    return [
        np.abs(q - p).mean(0).sum() / (p[2] - p[0]).sum(),
        np.abs(b.mean(0) - a.mean(0)).sum() / a.std(0).sum(),
        np.abs(b.var(0) - a.var(0)).sum() / a.var(0).sum(),
    ]


def test_every_measured_key_is_known_and_a_curve(trial_of, images_of):
    data = images_of(1, 8, 8)
    trial = trial_of(*MODELS["fc"], "norm.name=batch", "model.activation=tanh", "model.bias=always", ALL)
    (result,) = fit([replace(trial, steps=4)], data)
    measured = {key for key in result.curves if key not in names.CURVES}
    layers = {names.layer_gradient(layer) for layer in range(1, 2 + trial.model.depth)}
    assert measured == {*names.MEASURED_CURVES} | layers
    assert all(names.metric(key).meaning for key in measured)


@pytest.mark.parametrize("inference", ["batch", "initial", "precise"])
def test_the_last_batch_is_seen_under_the_statistics_of_inference(inference, trial_of, images_of):
    """With every image in the last batch, both give the same but for the rows."""
    data = images_of(1, 8, 8, count=200)
    overrides = (*MODELS["fc"], "norm.name=batch", f"norm.inference={inference}", "training.steps=30")
    trial = trial_of(*overrides, "training.measures=[last_batch]", "training.eval_grid=linear", train_size=140)
    results = {
        kind: fit([replace(trial, norm=replace(trial.norm, inference=kind))], data)[0].curves[names.LAST_BATCH_LOSS]
        for kind in (inference, "running")
    }
    assert results[inference] != results["running"]


def test_measures_are_taken_as_often_as_asked_and_evaluations_stay_where_they_were(trial_of, images_of):
    data = images_of(1, 8, 8)
    overrides = (*MODELS["fc"], "training.steps=300", "training.batch_size=4", "training.precision=float64")
    overrides = (*overrides, "training.eval_grid=linear", "training.eval_every=290")  # longer than a block
    often = ("training.measures=[last_batch]", "training.measure_every=25")
    (alone,), (measured,) = (fit([trial_of(*overrides, *more)], data) for more in ((), often))
    assert [step for step, _ in measured.curves[names.LAST_BATCH_ACC]] == [*range(0, 301, 25)]
    assert {key: measured.curves[key] for key in alone.curves} == alone.curves
    assert [step for step, _ in alone.curves[names.TRAIN_LOSS]] == [290, 300]


def test_a_network_with_one_hidden_layer_has_no_slope(trial_of, images_of):
    trial = trial_of("model.depth=1", "training.steps=2", CHEAP)
    (result,) = fit([trial], images_of(1, 8, 8))
    assert names.GRADIENT_SLOPE not in result.curves
    assert result.curves[names.GRADIENT_FIRST] == result.curves[names.GRADIENT_LAST]


def test_logistic_regression_has_gradients_and_curvature_and_nothing_hidden(trial_of, images_of):
    data = images_of(1, 8, 8)
    trials = [trial_of("model.depth=0", "training.steps=2", ALL, f"seed={seed}") for seed in range(3)]
    for result in fit(trials, data):
        measured = {key for key in result.curves if key not in names.CURVES}
        gradients = {names.GRADIENT_FIRST, names.GRADIENT_LAST, names.GRADIENT_MAX, names.layer_gradient(1)}
        along = {names.LOSS_RANGE, names.GRADIENT_RANGE, names.EFFECTIVE_BETA}
        curvature = {names.HESSIAN_LARGEST, names.HESSIAN_SMALLEST, names.HESSIAN_CONDITION}
        last = {names.LAST_BATCH_LOSS, names.LAST_BATCH_ACC}
        assert measured == gradients | along | curvature | last | {names.WEIGHT_NORM, names.EFFECTIVE_LR}
        assert all(value >= -1e-6 for _, value in result.curves[names.HESSIAN_SMALLEST]), "its loss is convex"
