"""The memory layout: round trips through it, and values that do not depend on where they lie."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnbench.packing.slots import aligned_width
from bnbench.tensors.memory_layout import (
    Layout,
    exact,
    feature_major,
    fold_images,
    stored_grad,
    trial_rows,
)

sizes = st.integers(1, 5)
EXPONENTIALS = [nn.Sigmoid(), nn.ELU(), nn.SiLU(), nn.Softplus(), nn.GELU(), nn.GELU("tanh")]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("layout", Layout)
@settings(max_examples=40, deadline=None)
@given(K=sizes, N=sizes, C=sizes, H=sizes, W=sizes)
def test_folding_images_puts_trial_k_into_channels_k(layout, K, N, C, H, W):
    images = torch.arange(K * N * C * H * W).remainder(251).to(torch.uint8).view(K, N, C, H, W)
    x = fold_images(images, layout, torch.float64)
    assert x.shape == (N, K * C, H, W)
    assert x.dtype == torch.float64
    for k in range(K):
        assert torch.equal(x[:, k * C : (k + 1) * C], images[k].double())


@pytest.mark.parametrize("layout", Layout)
@settings(max_examples=40, deadline=None)
@given(K=sizes, N=sizes, C=sizes, H=sizes, W=sizes)
def test_folded_images_are_stored_as_the_layout_says(layout, K, N, C, H, W):
    x = fold_images(random(K, N, C, H, W), layout, torch.float32)
    stored = x.permute(0, 2, 3, 1) if layout == Layout.channels_last else x.permute(1, 2, 3, 0)
    assert stored.is_contiguous()


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_folded_images_are_new_memory(layout, dtype):
    images = random(1, 3, 1, 1, 1, dtype=dtype)  # one trial, one pixel: every layout of it is contiguous
    before = images.clone()
    fold_images(images, layout, dtype).mul_(2)
    assert torch.equal(images, before)


@settings(max_examples=40, deadline=None)
@given(K=sizes, N=sizes, C=sizes)
def test_trial_rows_undoes_the_fold(K, N, C):
    trials = random(K, C, N)
    activation = trials.flatten(0, 1).t()  # (N, K*C), feature-major
    rows = trial_rows(activation, K)
    assert torch.equal(rows, trials)
    assert rows.data_ptr() == trials.data_ptr(), "no copy where it is stored so"
    assert torch.equal(trial_rows(activation.contiguous(), K), trials), "whatever the storage"


def test_feature_major_is_the_contiguous_transpose():
    x = random(3, 5)
    assert feature_major(x).is_contiguous()
    assert torch.equal(feature_major(x), x.t())


def everywhere(sizes: range) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Tensors that hold the same 64 values at every offset, and which of the 64 stands where."""
    values = 3 * random(64)
    cases = []
    for size in sizes:
        for offset in (0, 1, 13, 63):
            which = (torch.arange(size) + offset) % 64
            cases.append((values[which], which))
    return cases


@pytest.mark.parametrize("function", EXPONENTIALS, ids=repr)
def test_exact_gives_a_value_the_same_bits_wherever_it_lies(function):
    alone = exact(function, 3 * random(64))
    for x, which in everywhere(range(1, 200)):
        assert torch.equal(exact(function, x), alone[which]), len(x)


@pytest.mark.parametrize("function", EXPONENTIALS, ids=repr)
@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(1, 9), min_size=2, max_size=4), transposed=st.booleans())
def test_exact_is_the_function_in_the_memory_order_of_its_argument(function, shape, transposed):
    x = random(*shape, dtype=torch.float64)
    if transposed:
        x = x.transpose(0, 1)
    if x.dim() == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    y = exact(function, x)
    torch.testing.assert_close(y, function(x.contiguous()), rtol=1e-13, atol=1e-14)
    in_memory = [t.as_strided((t.numel(),), (1,)) for t in (x, y)]
    torch.testing.assert_close(in_memory[1], function(in_memory[0]), rtol=1e-13, atol=1e-14)


def test_exact_leaves_its_argument_alone():
    x = random(70)
    before = x.clone()
    exact(torch.sigmoid, x)
    assert torch.equal(x, before)


STORED = {2: lambda x: x.t(), 3: lambda x: x, 4: lambda x: x.permute(0, 2, 3, 1)}


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4), (2, 3, 2, 2)])
def test_stored_grad_changes_no_value_and_stores_the_gradient_as_activations_are(shape):
    x = random(*shape, dtype=torch.float64).requires_grad_()
    inner = x * 1
    y = stored_grad(inner)
    assert torch.equal(y, x)
    seen: list[torch.Tensor] = []
    inner.register_hook(seen.append)  # after stored_grad's own
    weight = random(*shape, seed=1, dtype=torch.float64)
    weight = weight.contiguous() if len(shape) == 2 else weight.transpose(0, 1).contiguous().transpose(0, 1)
    assert not STORED[len(shape)](weight).is_contiguous()
    (g,) = torch.autograd.grad((y * weight).sum(), x)
    assert torch.equal(g, weight)
    assert STORED[len(shape)](seen[0]).is_contiguous()


@settings(max_examples=200, deadline=None)
@given(trials=st.integers(1, 40), channels=st.lists(st.integers(1, 40), max_size=5))
def test_a_pack_is_wide_enough_and_fills_whole_vectors_of_channels(trials, channels):
    width = aligned_width(trials, channels)
    assert width >= max(2, trials)
    assert all(width * c % 16 == 0 for c in channels)
    narrower = [w for w in range(max(2, trials), width) if all(w * c % 16 == 0 for c in channels)]
    assert not narrower, "and no wider than that takes"
