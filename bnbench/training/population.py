"""PreciseBN: the training images' statistics under the present weights, for every norm that keeps statistics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.statistics_norm import StatisticsNorm
from bnbench.packing.lane_pack import LanePack
from bnbench.packing.pack import Pack
from bnbench.record import names
from bnbench.training.image_batches import PackImages

_EXAMPLES = 1024  # Wu & Johnson find that a thousand to ten thousand suffice


@torch.no_grad()
def estimate_population(pack: Pack, images: PackImages) -> None:
    """Give every norm that keeps statistics those of 1,024 training images, and leave the weights alone.

    The images are passed in batches of an evaluation's size, and each layer normalizes with the statistics of its
    batch. A slot gets the images that its training starts with, or all of its training images if they are fewer.

    Args:
        pack: The networks; left in training mode.
        images: Where the training images are.

    References:
        Wu & Johnson (2021), arXiv:2105.07576, section 3.
    """
    rows = images.first_train_rows(_EXAMPLES)
    parts = rows.tensor_split(-(-rows.shape[1] // names.EVALUATION_BATCH), dim=1)
    batches: dict[StatisticsNorm, list[tuple[Tensor, ...]]] = {norm: [] for norm in pack.norms}
    if isinstance(pack, LanePack):
        for part in parts:
            for lane_norm, statistics in pack.batch_statistics(images.source, part).items():
                batches[lane_norm].append(statistics)
    else:
        _pass_through(pack, images, parts, batches)
    for norm, of_batches in batches.items():
        norm.take_population(of_batches)
    if pack.needs_population:
        pack.reload()  # it trains by them


def _pass_through(
    pack: Pack, images: PackImages, parts: Sequence[Tensor], batches: dict[StatisticsNorm, list[tuple[Tensor, ...]]]
) -> None:
    """Pass batches of images, by rows (K, n), through the pack, and add each norm's statistics of them to `batches`."""

    def record(norm: StatisticsNorm, inputs: tuple[Tensor, ...]) -> None:
        batches[norm].append(norm.batch_statistics(inputs[0]))

    hooks = [norm.register_forward_pre_hook(record) for norm in batches]
    pack.eval()
    for norm in pack.norms:
        norm.statistics = Statistics.batch
    for part in parts:
        pack(images.batch(pack, part)[0])
    for norm in pack.norms:
        norm.statistics = Statistics.running
    pack.train()
    for hook in hooks:
        hook.remove()
