"""Test accuracy where the test images come from elsewhere: paler, brighter, noisy or turned."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bnbench.config import Loss, Statistics
from bnbench.packing.pack import Pack
from bnbench.record import names
from bnbench.tensors.seeding import generator
from bnbench.training.evaluate import evaluate
from bnbench.training.image_batches import PackImages

_CONTRAST = 0.5
_BRIGHTNESS = 0.2
_NOISE_SD = 0.2
_DEGREES = 20.0


def shifted(images: Tensor, rows: Tensor, kind: names.TestShift) -> Tensor:
    """The images as another camera might have taken them, as bytes.

    `contrast` halves every pixel's distance from its image's mean, `brightness` adds 0.2 of the range of pixels,
    `noise` normal noise with a standard deviation of 0.2 of it, which depends on the row and on nothing else;
    `rotation` turns by 20 degrees about the middle, bilinearly, with black corners.

    Args:
        images: (n, C, H, W), bytes.
        rows: Where in the data set each one stands, (n,).
        kind: Which shift.
    """
    x = images.float()
    match kind:
        case names.TestShift.contrast:
            mean = x.mean((1, 2, 3), keepdim=True)
            x = mean + _CONTRAST * (x - mean)
        case names.TestShift.brightness:
            x = x + 255 * _BRIGHTNESS
        case names.TestShift.noise:
            drawn = [torch.randn(x.shape[1:], generator=generator(0, "test_shift", row)) for row in rows.tolist()]
            x = x + 255 * _NOISE_SD * torch.stack(drawn).to(x.device)
        case names.TestShift.rotation:
            x = _turned(x)
    return x.round().clamp(0, 255).to(torch.uint8)


def _turned(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    c, s = math.cos(math.radians(_DEGREES)), math.sin(math.radians(_DEGREES))
    # In affine_grid's coordinates both sides run from -1 to 1, whatever their lengths.
    back = x.new_tensor([[c, -s * height / width, 0], [s * width / height, c, 0]]).expand(len(x), 2, 3)
    return F.grid_sample(x, F.affine_grid(back, list(x.shape), align_corners=False), align_corners=False)


def accuracy_under_shifts(pack: Pack, images: PackImages, loss: Loss) -> dict[str, Tensor]:
    """Accuracy on the first test images under each shift, and the loss of accuracy by it, (K,), by metric key.

    Networks with running statistics are evaluated under these and under the statistics of the batch; other networks
    are evaluated once, which is recorded as under running statistics.
    """
    rows = images.rows("test", names.IN_BATCHES)
    used_rows = torch.unique(rows)
    kinds = [Statistics.running, *([Statistics.batch] if pack.has_running_statistics else [])]

    def accuracy(seen_images: PackImages, statistics: Statistics) -> Tensor:
        return evaluate(pack, seen_images, rows, loss, statistics=statistics).acc

    unshifted = {statistics: accuracy(images, statistics) for statistics in kinds}
    measured: dict[str, Tensor] = {}
    for shift in names.TestShift:
        shifted_images = images.replaced(used_rows, shifted(images.images[used_rows], used_rows, shift))
        for statistics in kinds:
            acc = accuracy(shifted_images, statistics)
            measured[names.test_acc_shift(shift, statistics)] = acc
            measured[names.test_acc_drop(shift, statistics)] = unshifted[statistics] - acc
    return measured
