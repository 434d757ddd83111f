"""PreciseBN and the other statistics an evaluation can use: what each is, and that runs record the difference."""

import pytest
import torch

from bnbench.config import Loss, Statistics
from bnbench.models import build_model
from bnbench.norms.batch import BatchNorm
from bnbench.norms.frozen import FrozenBatchNorm
from bnbench.packing.pack import pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.record import names
from bnbench.training.evaluate import evaluate
from bnbench.training.fit import fit
from bnbench.training.image_batches import PackImages
from bnbench.training.population import estimate_population

FC = ("model.name=fc", "model.width=13", "model.depth=2", "norm.name=batch", "training.batch_size=10")
DOUBLE = ("training.precision=float64",)


@pytest.fixture
def packed(trial_of, images_of):
    """Two packed trials of different seeds with their images."""
    trials = [trial_of(*FC, *DOUBLE, f"seed={seed}") for seed in range(2)]
    return pack([build_model(t, (1, 8, 8), 10) for t in trials]), PackImages(images_of(1, 8, 8), PackedTrials(trials))


def test_the_first_layer_s_population_is_that_of_all_its_inputs(packed):
    net, images = packed
    estimate_population(net, images)
    rows = images.first_train_rows(1024)
    x, _ = images.batch(net, rows)
    first = net.net.blocks[0].layer(net.net.flatten(x))  # (n, K*C)
    norm = net.norms[0]
    # Rounding and no more: the batches are of equal size, so means of means are means.
    torch.testing.assert_close(norm.precise_mean.flatten(), first.mean(0), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(norm.precise_var.flatten(), first.var(0, unbiased=False), rtol=1e-2, atol=0)


def test_population_images_are_training_images_and_shuffled(packed):
    _, images = packed
    rows = images.first_train_rows(1024)
    for k, split in enumerate(images.splits):
        assert set(rows[k].tolist()) <= set(split.train.tolist())
        assert len(set(rows[k].tolist())) == rows.shape[1], "no image twice"
        assert rows[k].tolist() != sorted(rows[k].tolist())
    assert rows.shape[1] == min(1024, len(images.splits[0].train) // 10 * 10)


def test_an_estimate_changes_nothing_but_the_precise_statistics(packed):
    net, images = packed
    before = {name: value.clone() for name, value in net.named_buffers()} | {
        name: value.detach().clone() for name, value in net.named_parameters()
    }
    estimate_population(net, images)
    after = dict([*net.named_buffers(), *net.named_parameters()])
    changed = {name.rpartition(".")[2] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"precise_mean", "precise_var"}
    assert net.training
    assert {norm.statistics for norm in net.norms} == {Statistics.running}


def test_right_after_an_estimate_precise_statistics_agree_with_batch_statistics_and_running_ones_do_not(packed):
    net, images = packed
    estimate_population(net, images)
    rows = images.first_train_rows(120)
    loss = {s: evaluate(net, images, rows, Loss.softmax, statistics=s).loss for s in Statistics}
    assert torch.equal(loss[Statistics.running], loss[Statistics.initial]), "no step was taken"
    gap = (loss[Statistics.precise] - loss[Statistics.batch]).abs()
    assert (gap < 0.1 * (loss[Statistics.running] - loss[Statistics.batch]).abs()).all()


def test_frozen_norms_are_given_the_population_of_the_initial_weights(trial_of, images_of):
    trial = trial_of(*FC, *DOUBLE, "norm.name=frozen_batch", "training.steps=3", "optimizer.lr=0.01")
    net = pack([build_model(trial, (1, 8, 8), 10)] * 2)
    images = PackImages(images_of(1, 8, 8), PackedTrials([trial, trial]))
    assert net.needs_population
    assert not net.has_running_statistics
    estimate_population(net, images)
    assert all(isinstance(norm, FrozenBatchNorm) for norm in net.norms)
    assert all((norm.running_mean != 0).all() for norm in net.norms)
    (result,) = fit([trial], images_of(1, 8, 8))
    assert result.status == "finished"
    assert names.test_acc_under("running") not in result.metrics


@pytest.mark.parametrize("inference", Statistics)
def test_a_run_records_accuracy_under_each_kind_of_statistics(inference, trial_of, images_of):
    trial = trial_of(*FC, "training.steps=30", f"norm.inference={inference}", train_size=1050)
    (result,) = fit([trial], images_of(1, 8, 8, count=1500))
    under = {s: result.metrics[names.test_acc_under(s)] for s in Statistics}
    assert result.metrics[names.TEST_ACC] == under[inference], "fewer than 500 test images: the same ones"
    assert under["running"] != under["initial"]
    one_by_one = {s: result.metrics[names.test_acc_one_by_one_under(s)] for s in ("running", "batch")}
    assert one_by_one["running"] != one_by_one["batch"]
    if inference in one_by_one:
        assert result.metrics[names.TEST_ACC_ONE_BY_ONE] == one_by_one[inference]


def test_one_image_at_a_time_under_batch_statistics_is_a_constant_prediction_of_an_fc_network(trial_of, images_of):
    trial = trial_of(*FC, "training.steps=5")
    net = pack([build_model(trial, (1, 8, 8), 10)] * 2).eval()
    images = PackImages(images_of(1, 8, 8), PackedTrials([trial, trial]))
    net.use_statistics(Statistics.batch)
    logits = [net(images.batch(net, images.rows("test", n + 1)[:, n:])[0]) for n in range(5)]
    assert all(torch.equal(logits[0], other) for other in logits)


def test_what_is_used_at_evaluation_does_not_change_training(trial_of, images_of):
    curves = {}
    for inference in Statistics:
        (result,) = fit([trial_of(*FC, "training.steps=12", f"norm.inference={inference}")], images_of(1, 8, 8))
        curves[inference] = result.curves
    assert len({str(c[names.TRAIN_LOSS]) for c in curves.values()}) == 1
    assert len({str(c[names.VAL_LOSS]) for c in curves.values()}) == 4
    assert len({str(c[names.VAL_ACC_BATCH]) for c in curves.values()}) == 1


def test_batch_norm_is_what_has_running_statistics(trial_of):
    for name, expected in {"batch": True, "noisy_batch": True, "layer": False, "online": False}.items():
        net = pack([build_model(trial_of(*FC, f"norm.name={name}"), (1, 8, 8), 10)] * 2)
        assert net.has_running_statistics is expected
        assert not net.needs_population
        assert all(isinstance(norm, BatchNorm) for norm in net.norms)
