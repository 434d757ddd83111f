"""Loss and accuracy of every slot of a pack on held-out images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bnbench.config import Loss, Statistics
from bnbench.packing.lane_pack import LanePack
from bnbench.packing.pack import Pack
from bnbench.record import names
from bnbench.training.image_batches import PackImages
from bnbench.training.losses import correct, example_losses


class Evaluation(NamedTuple):
    """One number a slot, shape (K,), float64."""

    loss: Tensor
    acc: Tensor


@torch.no_grad()
def evaluate(
    pack: Pack,
    images: PackImages,
    rows: Tensor,
    loss: Loss,
    *,
    batch: int = names.EVALUATION_BATCH,
    statistics: Statistics = Statistics.running,
) -> Evaluation:
    """Mean loss and accuracy; the pack is left in training mode.

    Args:
        pack: The networks.
        images: Where the rows point.
        rows: (K, n) rows of the data set, split into batches of almost equal size.
        loss: Which loss.
        batch: Images in one forward pass at most.
        statistics: What norms over the batch normalize with; `precise` are those last given by
            `estimate_population`.
    """
    K, n = rows.shape
    parts = rows.tensor_split(-(-n // batch), dim=1)
    if isinstance(pack, LanePack):
        sums = [pack.evaluate(images.source, part, statistics) for part in parts]
        return Evaluation(*(torch.stack(values).sum(0) / n for values in zip(*sums, strict=True)))
    total = torch.zeros(K, dtype=torch.float64, device=rows.device)
    right = torch.zeros(K, dtype=torch.int64, device=rows.device)
    pack.eval()
    pack.use_statistics(statistics)
    for part in parts:
        x, labels = images.batch(pack, part)
        logits = pack(x)
        total += example_losses(logits, labels, loss).to(torch.float64).sum(1)
        right += correct(logits, labels)
    pack.use_statistics(Statistics.running)
    pack.train()
    return Evaluation(total / n, right.to(torch.float64) / n)
