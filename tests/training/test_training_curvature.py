"""The Hessian of tiny networks, judged by the dense one that autograd takes of a plain torch network."""

import pytest
import torch
from torch import nn

from bnbench.models import build_model
from bnbench.record import names
from bnbench.training import curvature
from bnbench.training.fit import fit
from bnbench.training.image_batches import BatchOrder

OVERRIDES = ("training.batch_size=32", "training.precision=float64", "optimizer.lr=1e-30", "training.steps=1")
CASES = {
    "none": ("model.depth=1", "model.width=3", "model.activation=tanh"),
    "relu": ("model.depth=1", "model.width=3"),
    "before": ("model.depth=2", "model.width=3", "norm.name=batch", "model.activation=tanh"),
    "after": ("model.depth=1", "model.width=3", "norm.name=batch", "norm.placement=after"),
    "logistic_regression": ("model.depth=0",),
    "conv": ("model.name=cnn", "model.depth=1", "model.width=1", "model.stride_every=1", "model.hidden=0"),
}


def dense(trial, data) -> torch.Tensor:
    """Eigenvalues of the Hessian of the mean loss over the first 128 training images, in batches of 32."""
    from bnbench.data import split_data

    net = build_model(trial, data.shape, data.classes).double().train()
    order = BatchOrder(trial.seed, split_data(data, kind=trial.data.split, seed=trial.seed).train, 32)
    images = torch.from_numpy(data.images).double() * torch.tensor(1 / 255, dtype=torch.float32).double()
    labels = torch.from_numpy(data.labels)
    shapes = dict(net.named_parameters())

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([p.numel() for p in shapes.values()])
        values = {name: part.view_as(p) for (name, p), part in zip(shapes.items(), parts, strict=True)}
        total = flat.new_zeros(())
        for rows in order.rows(0, 4):
            logits = torch.func.functional_call(net, values, images[rows])
            total = total + nn.functional.cross_entropy(logits, labels[rows]) / 4
        return total

    flat = nn.utils.parameters_to_vector(net.parameters()).detach()
    hessian = torch.autograd.functional.hessian(loss, flat)
    return torch.linalg.eigvalsh(hessian)


@pytest.mark.parametrize("case", CASES)
def test_extreme_eigenvalues_and_their_mean_are_the_dense_hessian_s(case, trial_of, images_of, monkeypatch):
    data = images_of(1, 2, 2, count=600)
    overrides = (*CASES[case], *OVERRIDES, "training.measures=[hessian]")
    trials = [trial_of(*overrides, f"seed={seed}", train_size=420) for seed in range(2)]
    expected = [dense(trial, data) for trial in trials]
    P = len(expected[0])
    assert P > 20
    few = fit(trials, data)
    monkeypatch.setattr(curvature, "_STEPS", P)
    for trial_result, rough, eigenvalues in zip(fit(trials, data), few, expected, strict=True):
        value = {key: dict(trial_result.curves[key])[0] for key in trial_result.curves if key.startswith("hessian")}
        largest, smallest = eigenvalues[-1].item(), eigenvalues[0].item()
        assert value[names.HESSIAN_LARGEST] == pytest.approx(largest, rel=1e-4)
        assert value[names.HESSIAN_SMALLEST] == pytest.approx(smallest, abs=1e-4 * largest)
        mean = eigenvalues.mean().item()
        assert (names.HESSIAN_CONDITION in value) == (mean > 0)
        assert mean < 0 or value[names.HESSIAN_CONDITION] == pytest.approx(largest / mean, rel=1e-3)
        near = {key: dict(rough.curves[key])[0] for key in value if key in rough.curves}
        assert near[names.HESSIAN_LARGEST] == pytest.approx(largest, rel=1e-2)
        assert near[names.HESSIAN_SMALLEST] == pytest.approx(smallest, abs=5e-2 * largest)
        # Eigenvalues of both signs that nearly cancel leave a mean that two probes cannot tell.
        assert mean < largest / 30 or 2 / 3 < near[names.HESSIAN_CONDITION] / (largest / mean) < 3 / 2


def test_slots_looked_at_in_groups_give_what_all_at_once_give(trial_of, images_of, monkeypatch):
    data = images_of(1, 4, 4, count=300)
    overrides = (*CASES["before"], *OVERRIDES, "training.precision=float32", "training.measures=[hessian]")
    trials = [trial_of(*overrides, f"seed={seed}", train_size=210) for seed in range(5)]
    whole = [result.curves for result in fit(trials, data)]
    monkeypatch.setattr(curvature, "_BASIS_BYTES", 1)
    assert [result.curves for result in fit(trials, data)] == whole
