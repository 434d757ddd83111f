"""The memory layout of a pack's activations: the trial axis folded into channels, bits the same in every slot.

Logically an activation is `(N, K*C)` or `(N, K*C, H, W)`, so an ordinary network's forward runs unchanged.
In memory a 2-D one is feature-major, `(K*C, N)`: each trial's rows are contiguous, and every sum over N runs
along a row, in an order that depends on neither K nor the slot. A 4-D one is channels_last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import torch
from torch import Tensor

# The widest vector loop of torch's elementwise CPU kernels handles this many elements at a time (4 registers
# of 16 floats); what is left over takes a scalar path whose exp and log round differently.
_VECTOR_BLOCK = 64


class Layout(StrEnum):
    """How a pack stores its images."""

    feature_major = "feature_major"  # (K*C*H*W, N): what a linear layer wants
    channels_last = "channels_last"  # (N, H, W, K*C): what a conv layer wants


def fold_images(images: Tensor, layout: Layout, dtype: torch.dtype) -> Tensor:
    """Fold K batches of images into one, converted to `dtype`.

    Args:
        images: (K, N, C, H, W), of any type.
        layout: The storage of the result.
        dtype: Its type.

    Returns:
        (N, K*C, H, W), a view of new memory.
    """
    K, N, C, H, W = images.shape
    if layout == Layout.channels_last:
        stored = _contiguous(images.permute(1, 3, 4, 0, 2), dtype)  # (N, H, W, K, C)
        return stored.view(N, H, W, K * C).permute(0, 3, 1, 2)
    stored = _contiguous(images.permute(0, 2, 3, 4, 1), dtype)  # (K, C, H, W, N)
    return stored.view(K * C, H, W, N).permute(3, 0, 1, 2)


def _contiguous(x: Tensor, dtype: torch.dtype) -> Tensor:
    # copy=True: a tensor of this type already would come back as it is, in whatever order it is stored.
    return x.to(dtype, copy=True, memory_format=torch.contiguous_format)


def feature_major(x: Tensor) -> Tensor:
    """The transpose of a 2-D activation: (N, F) in, contiguous (F, N) out; no copy if it is already stored so."""
    return x.t().contiguous()


def trial_rows(x: Tensor, K: int) -> Tensor:
    """(N, K*C) in, contiguous (K, C, N) out."""
    rows = feature_major(x)
    return rows.view(K, rows.shape[0] // K, rows.shape[1])


def select_slots(x: Tensor, slots: Sequence[int]) -> Tensor:
    """Rows of a tensor (K, …), in new memory that is stored in the same order."""
    return x.new_empty(len(slots) * x.stride(0)).as_strided((len(slots), *x.shape[1:]), x.stride()).copy_(x[[*slots]])


def exact(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """An elementwise function whose value at an element does not depend on where the element lies.

    Torch's vectorized exp and log round differently from the scalar ones that finish the last few elements
    of a tensor, so the last trials of a pack would differ from themselves elsewhere. Those are computed again
    as one full block.

    Args:
        function: An elementwise function from `torch`.
        x: Its input, dense in memory (any order of dimensions).

    Returns:
        `function(x)`, in the memory order of `x`.
    """
    size = x.numel()
    flat_x = x.as_strided((size,), (1,))  # GELU has other kernels for a transposed view
    flat_y = function(flat_x)
    if size % _VECTOR_BLOCK:
        block = flat_x.new_zeros(_VECTOR_BLOCK)
        tail = min(size, _VECTOR_BLOCK)
        block[:tail] = flat_x[size - tail :]
        flat_y[size - tail :] = function(block)[:tail]
    return flat_y.as_strided(x.shape, x.stride())


def stored_grad(x: Tensor) -> Tensor:
    """`x` itself, whose gradient will arrive stored as a pack stores activations; a 3-D one contiguous.

    Kernels choose by the layout of the gradient they are given, and sums over N run along rows only if it is
    stored in rows: otherwise the last channels round differently.
    """
    if x.requires_grad:
        x.register_hook(stored)  # type: ignore[no-untyped-call]
    return x


def stored(x: Tensor) -> Tensor:
    """`x` stored as a pack stores activations, a 3-D one contiguous; a copy only where it was not, as a crop is not."""
    if x.dim() == 2:
        return feature_major(x).t()
    return x.contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.contiguous_format)
