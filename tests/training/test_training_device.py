"""Training on another device than the CPU. Meta tensors stand in for a GPU: they are refused beside CPU ones."""

import pytest
import torch

from bnbench.config import ConfigError, Device, Measure
from bnbench.norms import NORMS
from bnbench.optimizers.per_trial import make_optimizer
from bnbench.tensors import device
from bnbench.training.fit import make_pack
from bnbench.training.image_batches import PackImages
from bnbench.training.losses import correct
from bnbench.training.measuring import TAKERS
from bnbench.training.module import PackModule
from bnbench.training.probe import probe
from bnbench.training.step import train_step

READS_VALUES = {"noisy_batch"}  # draws its noise from a step that it reads back, which meta tensors do not have


def test_meta_tensors_are_refused_beside_cpu_ones():
    with pytest.raises(RuntimeError, match="device"):
        torch.addmm(torch.zeros(2, 2), torch.zeros(2, 2, device="meta"), torch.zeros(2, 2, device="meta"))


@pytest.mark.parametrize("norm", sorted(set(NORMS) - READS_VALUES))
@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_a_step_makes_nothing_on_the_cpu(model, norm, trial_of, images_of):
    data = images_of(1, 8, 8)
    trial = trial_of(
        f"model.name={model}", "model.width=4", f"norm.name={norm}", "optimizer.name=adam", "training.engine=torch"
    )
    packed, packed_trials = make_pack([trial, trial], data)
    packed = packed.to("meta")
    images = PackImages(data, packed_trials, "meta")
    optimizer = make_optimizer(packed.parameters(), [slot.optimizer for slot in packed_trials.by_slot], packed.linear)
    x, labels = images.batch(packed, images.train_rows(0, 1)[0])
    _, logits = train_step(packed, x, labels, trial.training.loss, optimizer)
    assert correct(logits, labels).device.type == "meta"
    assert packed.eval()(images.batch(packed, images.rows("val", 3))[0]).device.type == "meta"


@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_measures_make_nothing_on_the_cpu(model, trial_of, images_of):
    data = images_of(1, 8, 8)
    trial = trial_of(
        f"model.name={model}",
        "model.width=4",
        "model.depth=3",
        "norm.name=batch",
        "optimizer.name=adam",
        "training.engine=torch",
    )
    packed, packed_trials = make_pack([trial, trial], data)
    packed = packed.to("meta")
    module = PackModule(packed, PackImages(data, packed_trials, "meta"), packed_trials)
    optimizer = make_optimizer(packed.parameters(), [slot.optimizer for slot in packed_trials.by_slot], packed.linear)
    with probe(module, optimizer, 1, None) as looking:
        for measure, take in TAKERS.items():
            if measure != Measure.hessian:  # eigenvalues of meta tensors are not implemented
                assert {values.device.type for values in take(looking).values()} == {"meta"}, measure


def test_auto_is_the_gpu_where_there_is_one_and_says_so_in_the_key(trial_of, monkeypatch):
    for module in ("trial", "contradictions"):
        monkeypatch.setattr(f"bnbench.config.{module}.has_gpu", lambda: False)
    without = trial_of("training.device=auto")
    assert without.training.device == Device.cpu
    assert "training.device" not in without.params
    for module in ("trial", "contradictions"):
        monkeypatch.setattr(f"bnbench.config.{module}.has_gpu", lambda: True)
    on_gpu = trial_of("training.device=auto")
    assert on_gpu.params["training.device"] == "cuda"
    assert on_gpu.key == trial_of("training.device=cuda").key != without.key
    assert trial_of("training.device=cpu").key == without.key
    assert on_gpu.signature != without.signature


def test_a_gpu_that_is_not_there_is_refused_in_one_line(trial_of, monkeypatch):
    monkeypatch.setattr("bnbench.config.contradictions.has_gpu", lambda: False)
    with pytest.raises(ConfigError, match="cuda is not possible: torch finds no GPU here; set"):
        trial_of("training.device=cuda")


@pytest.mark.skipif(not device.has_gpu(), reason="torch finds no GPU here")
@pytest.mark.parametrize("model", ["fc", "cnn"])
def test_a_gpu_trains_to_the_same_accuracy_within_its_rounding(model, trial_of, images_of):
    from bnbench.training.fit import fit

    data = images_of(1, 8, 8)
    overrides = (f"model.name={model}", "model.width=4", "norm.name=batch", "training.steps=3", "training.batch_size=8")
    overrides += ("training.engine=torch",)
    [cpu], [gpu] = (fit([trial_of(*overrides, f"training.device={d}")], data) for d in ("cpu", "cuda"))
    assert gpu.metrics["test/loss"] == pytest.approx(cpu.metrics["test/loss"], rel=1e-3)
