"""Shifted test images, judged by NumPy and SciPy, and the accuracies on them by plain torch."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bnbench.data import split_data
from bnbench.record import names
from bnbench.record.names import TestShift
from bnbench.training.fit import fit
from bnbench.training.shifted import shifted


@pytest.fixture
def pictures():
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.random((5, 3, 14, 11)), (0, 0, 1.5, 1.5))
    return torch.from_numpy((255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8))


def change(images, kind, rows=None):
    return shifted(images, torch.arange(len(images)) if rows is None else rows, kind)


def off(found: torch.Tensor, expected: np.ndarray) -> int:
    """Largest difference in bytes; rounding allows 1."""
    return int(np.abs(found.numpy().astype(int) - np.clip(np.round(expected), 0, 255)).max())


def test_contrast_halves_the_distance_from_each_image_s_mean(pictures):
    x = pictures.numpy().astype(float)
    expected = [image.mean() + (image - image.mean()) / 2 for image in x]
    assert off(change(pictures, TestShift.contrast), np.stack(expected)) <= 1


def test_brightness_adds_a_fifth_and_stops_at_white(pictures):
    found = change(pictures, TestShift.brightness)
    assert off(found, pictures.numpy().astype(float) + 51) == 0
    assert found.max() == 255


def test_rotation_is_scipy_s_by_20_degrees(pictures):
    turned = ndimage.rotate(
        pictures.numpy().astype(float), 20, axes=(3, 2), reshape=False, order=1, mode="grid-constant"
    )
    assert off(change(pictures, TestShift.rotation), turned) <= 1


def test_noise_is_normal_and_each_image_s_own_whatever_others_are_there():
    gray = torch.full((64, 1, 28, 28), 128, dtype=torch.uint8)
    noise = change(gray, TestShift.noise).double() - 128
    assert noise.mean().item() == pytest.approx(0, abs=0.5)
    assert noise.std().item() == pytest.approx(51, rel=0.03)  # cut at 2.5 deviations
    some = torch.tensor([9, 3])
    assert torch.equal(change(gray[:2], TestShift.noise, some), change(gray, TestShift.noise)[some])
    assert len({bytes(image.numpy().tobytes()) for image in change(gray, TestShift.noise)}) == 64


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_accuracies_under_shifts_are_those_of_plain_torch_on_shifted_images(norm, trial_of, images_of):
    data = images_of(1, 8, 8, count=600)
    kept = {}
    overrides = (f"norm.name={norm}", "training.steps=5", "training.batch_size=16", "data.split=by_seed")
    trials = [trial_of(*overrides, f"seed={s}", "training.measures=[test_shift]") for s in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        from bnbench.training import fit as module

        made = module.make_pack
        patch.setattr(module, "make_pack", lambda *given: kept.setdefault("pack", made(*given)))
        results = fit(trials, data)
    packed, _ = kept["pack"]
    labels = torch.from_numpy(data.labels)
    kinds = ["running"] if norm == "none" else ["running", "batch"]
    for k, (trial, result) in enumerate(zip(trials, results, strict=True)):
        rows = split_data(data, kind="by_seed", seed=trial.seed).test
        images = torch.from_numpy(data.images)[rows]
        for statistics in kinds:
            unshifted = accuracy(packed, k, images, labels[rows], statistics)
            for kind in TestShift:
                acc = accuracy(packed, k, shifted(images, torch.from_numpy(rows), kind), labels[rows], statistics)
                assert result.metrics[names.test_acc_shift(kind, statistics)] == pytest.approx(acc), (kind, statistics)
                drop = result.metrics[names.test_acc_drop(kind, statistics)]
                assert drop == pytest.approx(unshifted - acc, abs=1e-12)
        measured = {key for key in result.metrics if "_shift_" in key or "_drop_" in key}
        assert len(measured) == 2 * len(TestShift) * len(kinds)
        assert {names.metric(key).better for key in measured} == {"higher", "lower"}
    assert {result.metrics[names.test_acc_shift("noise", "running")] for result in results} != {0.0}


def accuracy(packed, k: int, images: torch.Tensor, labels: torch.Tensor, statistics: str) -> float:
    """Slot k's, in one batch of all images: those of the test split are fewer than 128."""
    assert len(images) <= 128
    packed.eval()
    packed.use_statistics(statistics)
    with torch.no_grad():
        batch = images.unsqueeze(0).expand(packed.slots, *images.shape) / torch.tensor(255.0)
        logits = packed(packed.fold(batch, torch.float32))[k]
    packed.use_statistics("running")
    return (logits.argmax(0) == labels).double().mean().item()
