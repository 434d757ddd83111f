"""Every side trains the network that bnbench trains, and it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from bnbench.bench import gpu_packs, handwritten, jax_loop, loop, packed, taking_part, usual
from bnbench.bench.packed import make_pack
from bnbench.bench.plain import batch_loss, parameter_count, plain_network, plain_optimizer
from bnbench.bench.taking_part import known_to_jax
from bnbench.bench.workloads import DEFAULT, QUICK, Workload, pack_width, trials_of
from bnbench.config import Engine, Loss, Trial
from bnbench.data import ImageData
from bnbench.lanes.library import why_no_kernels
from bnbench.models import build_model
from bnbench.norms.batch import BatchNorm
from bnbench.optimizers.per_trial import make_optimizer
from bnbench.training import fit
from bnbench.training.data_module import PackDataModule
from bnbench.training.losses import example_losses
from bnbench.training.module import PackModule
from bnbench.training.population import estimate_population

Make = Callable[..., Trial]


# The peers' network, loss, optimizer and images.


def test_the_peers_network_is_the_trial_s(network: list[str], trial: Make, images: ImageData) -> None:
    """Judge: the model that bnbench builds, in the same state."""
    ours = build_model(trial(network), images.shape, images.classes)
    theirs = plain_network(trial(network), images.shape, images.classes)
    assert parameter_count(theirs) == parameter_count(ours)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    x = torch.randn(8, *images.shape, generator=torch.Generator().manual_seed(1))
    for mode in (True, False):  # in this order: evaluation after an update of the running statistics
        torch.testing.assert_close(theirs.train(mode)(x), ours.train(mode)(x), rtol=1e-4, atol=1e-5)
    torch_s = [m for m in theirs.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(torch_s) == sum(type(m) is BatchNorm for m in ours.modules())
    assert not any(type(m) is BatchNorm for m in theirs.modules())


@pytest.mark.parametrize("loss", Loss)
def test_the_peers_loss_is_the_trial_s(loss: Loss) -> None:
    logits = torch.randn(16, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(16) % 10
    ours = example_losses(logits.t().unsqueeze(0).contiguous(), labels.unsqueeze(0), loss).mean()
    torch.testing.assert_close(batch_loss(loss)(logits, labels), ours)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_the_peers_optimizer_has_the_trial_s_settings(name: str, trial: Make, images: ImageData) -> None:
    """Judge: bnbench's optimizer on the same gradients; torch's own fused one is equal to it to the bit."""
    of = trial(["data=digits", f"optimizer={name}", "optimizer.weight_decay=0.02", "optimizer.lr=0.05", "norm=none"])
    net = plain_network(of, images.shape, images.classes)
    stacked = [nn.Parameter(p.detach().clone().unsqueeze(0)) for p in net.parameters()]
    theirs, ours = plain_optimizer(of.optimizer, of.lr, net, fused=True), make_optimizer(stacked, [of.optimizer])
    g = torch.Generator().manual_seed(0)
    for _ in range(3):
        for p, q in zip(net.parameters(), stacked, strict=True):
            p.grad = torch.randn(p.shape, generator=g)
            q.grad = p.grad.unsqueeze(0).clone()
        theirs.step()
        ours.step()
    for p, q in zip(net.parameters(), stacked, strict=True):
        assert torch.equal(p, q[0])


@pytest.mark.parametrize("scaling", ["unit", "symmetric", "standard", "raw"])
def test_the_peers_see_the_pixels_that_bnbench_sees(scaling: str, trial: Make, images: ImageData) -> None:
    of = trial(["data=digits", f"data.scaling={scaling}", "training.batch_size=4"])
    module = make_pack([of], images)
    rows = module.images.train_rows(0, 1)[0]
    folded, labels = module.images.batch(module.pack, rows)
    ours = folded[:, : images.shape[0]]
    pairs = [usual._Images(images, of)[row] for row in rows[0].tolist()]
    theirs = torch.stack([image for image, _ in pairs])
    tolerance = 1e-5 * float(ours.abs().max())  # ToTensor divides first
    torch.testing.assert_close(theirs, ours.contiguous(), rtol=1e-5, atol=tolerance)
    assert [label for _, label in pairs] == labels[0].tolist()
    tensors, targets = loop._tensors(of, images, torch.contiguous_format)
    order = module.images.splits[0].train.tolist()
    torch.testing.assert_close(tensors[[order.index(row) for row in rows[0].tolist()]], ours.contiguous())
    assert targets[[order.index(row) for row in rows[0].tolist()]].tolist() == labels[0].tolist()


# They train.


def test_every_side_learns_and_has_the_same_parameters(
    network: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the usual side makes its store
    by_hand, inner = handwritten.Side(), packed.Side()
    lightning = usual.Side()
    counts = {
        lightning.prepare(network, str(tmp_path))["parameters"],
        by_hand.prepare(network, str(tmp_path))["parameters"],
        inner.prepare(network, str(tmp_path), width=3)["parameters"],
    }
    assert len(counts) == 1
    for side in (lightning, by_hand, inner):
        for _ in range(20):  # a busy machine takes few steps in a turn
            answer = side.run(0.1)
            assert answer["wall_rate"] > 0
            assert answer["rate"] > 0
            if answer["loss_after"] < answer["loss_before"]:
                break
        assert answer["loss_after"] < answer["loss_before"], side
    assert lightning.validate() > 0


def test_the_usual_side_logs_to_mlflow_every_fifty_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    side = usual.Side()
    side.prepare(["data=digits", "norm=none", "training.batch_size=8"], str(tmp_path))
    side.run(0.05)
    client = MlflowClient(f"sqlite:///{tmp_path / 'usual.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'usual'")
    runs = client.search_runs([experiment.experiment_id])
    logged = [point.step for run in runs for point in client.get_metric_history(run.info.run_id, "train_loss")]
    assert len(logged) >= 2
    *logged, _ = logged  # Lightning logs the step at which it stops too
    assert all((step + 1) % 50 == 0 for step in logged)


# bnbench's inner step is the one that sweeps take.


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_the_inner_step_has_the_bits_of_lightning_s_training(
    engine: str, network: list[str], trial: Make, images: ImageData
) -> None:
    """Judge: the module and data module of a sweep, under a Trainer."""
    steps = 6
    words = [*network, f"training.steps={steps}", f"training.engine={engine}"]
    trials = [trial(words, seed) for seed in range(3)]
    if trials[0].training.engine == Engine.lanes and why_no_kernels():
        pytest.skip("there are no kernels")
    bare = make_pack(trials, images)
    bare.take(2)
    bare.take(steps - 2)
    pack, packed_trials = fit.make_pack(trials, images)
    blocks = PackDataModule(images, packed_trials)
    if pack.needs_population:
        estimate_population(pack, blocks.images)
    trained = PackModule(pack, blocks.images, packed_trials)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(trained, datamodule=blocks)
    assert trainer.global_step == steps
    state = bare.state_dict()
    for name, value in trained.state_dict().items():
        assert torch.equal(state[name], value), name


# Lanes and JAX.


def test_the_lanes_say_how_fast_their_products_are(tmp_path: Path) -> None:
    if why_no_kernels():
        pytest.skip("there are no kernels")
    side = packed.Side()
    side.prepare([*QUICK.overrides, "training.engine=lanes"], str(tmp_path))
    answer = side.run(0.1)
    assert 0 < answer["operations"] < answer["peak_operations"]
    side.prepare([*QUICK.overrides, "training.engine=torch"], str(tmp_path), width=3)
    assert "operations" not in side.run(0.1)


JAX_NETWORKS = {
    "no norm": (),
    "batch norm before": ("norm=batch",),
    "batch norm after, biased, not affine": (
        "norm=batch",
        "norm.placement=after",
        "norm.running_var=biased",
        "norm.affine=false",
    ),
    "batch size 1": ("training.batch_size=1",),
}


@pytest.mark.parametrize("layout", jax_loop._LAYOUTS)
@pytest.mark.parametrize("words", JAX_NETWORKS.values(), ids=JAX_NETWORKS.keys())
def test_jax_trains_what_torch_does(
    words: tuple[str, ...], layout: str, images: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judge: a pack of torch on the same rows; half of the trials, for a ReLU at its kink may go the other way."""
    pytest.importorskip("jax")
    jax_loop.Side()  # on one thread
    overrides = ["data=digits", "model.width=12", "model.depth=2", "training.batch_size=8", "norm=none", *words]
    trials = trials_of([*overrides, "training.engine=torch"], range(4))
    assert known_to_jax(trials[0])
    torchs = make_pack(trials, images)
    monkeypatch.setattr(jax_loop, "_LONG_BLOCK", 8)
    jaxs = jax_loop.Loop(trials, images, layout)
    for _ in range(2):
        torchs.take(8)
        jaxs.take()
    side = packed.Side()
    side._module, side._trials = torchs, trials
    ours, theirs = (torch.tensor(losses) for losses in (side._losses(), jaxs.losses()))
    assert float(((theirs - ours) / ours).abs().median()) < 1e-5
    running = [values for values in jaxs._running if values]
    norms = [norm for norm in torchs.pack.norms if isinstance(norm, BatchNorm)]
    for values, norm in zip(running, norms, strict=True):
        for name, value in values.items():
            found = torch.from_numpy(np.array(value))
            found = found if jaxs._axis == 0 else found.T
            apart = found.flatten() - getattr(norm, f"running_{name}").flatten()[: found.numel()]
            assert float(apart.abs().median()) < 1e-5


def test_lanes_and_jax_take_part_where_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking_part, "why_no_kernels", lambda: None)
    monkeypatch.setattr(taking_part, "find_spec", lambda name: object())
    always = {"usual", "handwritten", "torch"}
    assert taking_part.why_no_jax() is None
    assert {*taking_part.taking_part(QUICK)} == {*always, "lanes", "jax"}
    cnn = Workload("", ("model=cnn", "norm=batch"))
    assert {*taking_part.taking_part(cnn)} == {*always, "lanes"}
    layer = Workload("", ("model=fc", "norm=layer"))
    assert {*taking_part.taking_part(layer)} == {*always, "lanes"}
    manual = Workload("", ("model=fc", "norm=batch", "norm.impl=manual"))
    assert {*taking_part.taking_part(manual)} == always
    monkeypatch.setattr(taking_part, "find_spec", lambda name: None)
    assert "pip install" in str(taking_part.why_no_jax())
    assert {*taking_part.taking_part(QUICK)} == {*always, "lanes"}
    monkeypatch.setattr(taking_part, "why_no_kernels", lambda: "none here")
    assert taking_part.why_no_lanes() == "lanes: left out, none here"
    assert {*taking_part.taking_part(QUICK)} == always


# The workloads.


@pytest.mark.parametrize("workload", DEFAULT, ids=lambda workload: workload.name)
def test_every_workload_is_a_trial_with_a_result(workload) -> None:
    from bnbench.sweep.hydra_session import compose_one
    from bnbench.sweep.planning.norm_rules import norm_errors, undefined_reason

    config = compose_one(workload.overrides)
    assert undefined_reason(config) is None
    assert [*norm_errors(config)] == []
    seven = trials_of(workload.overrides, [7])[0]
    assert (seven.seed, seven.training.batch_size) == (7, int(workload.name.split("-")[1]))
    assert pack_width(workload.overrides) > 1


def test_packs_on_a_device_are_timed_beside_lone_trials_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("model=fc", "model.width=4", "optimizer.lr=0.1", "training.batch_size=4")
    monkeypatch.setattr(gpu_packs, "_PACKS", {"fc": (4, words)})
    timed = gpu_packs.packs_against_lone(0.05, tmp_path, device="cpu")
    assert timed["card"] == "cpu"
    assert [(row["workload"], row["width"]) for row in timed["packs"]] == [("fc-none", 4), ("fc-batch", 4)]
    assert all(row["ratio"] == row["pack"] / row["lone"] for row in timed["packs"])
