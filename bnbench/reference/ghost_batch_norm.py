"""Ghost batch normalization: each small part of a large batch is normalized as if it were a batch."""

from __future__ import annotations

import numpy as np

from bnbench.reference.batch_norm import batchnorm_forward
from bnbench.reference.spatial_batch_norm import spatial_batchnorm_forward
from bnbench.reference.state import BatchNormState


def ghost_batch_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, bn_param: BatchNormState, *, ghost_size: int
) -> np.ndarray:
    """Batch norm of each ghost batch, that is of each `ghost_size` consecutive examples.

    In train mode the statistics of one ghost batch after the other are blended into the running statistics. So one step
    blends N / ghost_size times, and the old statistics keep (1 - momentum) ** (N / ghost_size) of their weight. In test
    mode it is batch norm, and `ghost_size` has no effect.

    Args:
        x: Input, shape (N, C) or (N, C, H, W).
        gamma: Scale, shape (C,).
        beta: Offset, shape (C,).
        bn_param: The state, as for `batchnorm_forward`; the divisor of its variance counts one ghost batch.
        ghost_size: Examples in a ghost batch; in train mode it must divide N.

    Returns:
        The normalized x, of the shape of x.

    Raises:
        ValueError: If `ghost_size` does not divide N in train mode, or if `batchnorm_forward` raises it.

    References:
        Hoffer, Hubara & Soudry (2017), arXiv:1705.08741, algorithm 1.
    """
    forward = batchnorm_forward if x.ndim == 2 else spatial_batchnorm_forward
    if bn_param.get("mode") == "test":
        return forward(x, gamma, beta, bn_param)[0]
    if ghost_size < 1 or len(x) % ghost_size:
        raise ValueError(f"ghost_size={ghost_size} does not divide a batch of {len(x)}")
    ghosts = np.split(x, len(x) // ghost_size)
    return np.concatenate([forward(ghost, gamma, beta, bn_param)[0] for ghost in ghosts])
