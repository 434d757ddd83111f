"""PreciseBN: the training images' statistics under the present weights, for every norm over the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.batch import BatchNorm
from bnbench.packing.pack import Pack
from bnbench.record import names
from bnbench.training.image_batches import PackImages

_EXAMPLES = 1024  # Wu & Johnson find that a thousand to ten thousand suffice


@torch.no_grad()
def estimate_population(pack: Pack, images: PackImages) -> None:
    """Give every norm over the batch the mean and variance of 1,024 training images, and leave the weights alone.

    The images pass in batches as an evaluation's, each layer normalizing with its batch's statistics; a channel's
    mean is then that of the batches' means, its variance the mean of their variances plus the variance of their
    means. Slots see the images their training starts with, all of them where there are fewer.

    Args:
        pack: The networks; left in training mode.
        images: Where the training images are.

    References:
        Wu & Johnson (2021), arXiv:2105.07576, section 3.
    """
    moments: dict[BatchNorm, list[tuple[Tensor, Tensor]]] = {norm: [] for norm in pack.norms}

    def record(norm: BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        rows = norm.rows(inputs[0]).flatten(1)  # (K*C, N*P)
        mean = rows.mean(1)
        moments[norm].append((mean, (rows - mean.unsqueeze(1)).square().mean(1)))

    hooks = [norm.register_forward_pre_hook(record) for norm in moments]
    pack.eval()
    for norm in pack.norms:
        norm.statistics = Statistics.batch
    rows = images.first_train_rows(_EXAMPLES)
    for part in rows.tensor_split(-(-rows.shape[1] // names.EVALUATION_BATCH), dim=1):
        pack(images.batch(pack, part)[0])
    for norm in pack.norms:
        norm.statistics = Statistics.running
    pack.train()
    for hook in hooks:
        hook.remove()
    for norm, batches in moments.items():
        means, variances = (torch.stack(values, 1) for values in zip(*batches, strict=True))  # (K*C, batches)
        mean = means.mean(1)
        norm.set_population(mean, variances.mean(1) + (means - mean.unsqueeze(1)).square().mean(1))
