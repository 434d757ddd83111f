"""Products of K trials: right in every orientation, the same bits in every pack, and steps taken without a gradient."""

import pytest
import torch

from bnbench.config import OptimizerConfig
from bnbench.optimizers.per_trial import make_optimizer
from bnbench.packing.leaves import FoldedLinear
from bnbench.packing.products import product
from bnbench.tensors.seeding import generator

WIDTHS = (1, 2, 3, 8, 15, 16, 17, 60)


def values(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=generator(seed, "test"))


@pytest.mark.parametrize("N", WIDTHS)
@pytest.mark.parametrize("by_rows", [True, False])
def test_a_product_is_contiguous_and_the_definition_s(N, by_rows):
    a = values(3, 7, 5) if by_rows else values(3, 5, 7).transpose(1, 2)
    b = values(3, 5, N, seed=1)
    out = product(a, b)
    assert out.is_contiguous()
    torch.testing.assert_close(out, torch.einsum("kml,kln->kmn", a, b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("N", WIDTHS)
@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize(("M", "L"), [(100, 784), (10, 100), (13, 37)])
def test_a_product_s_bits_depend_on_neither_the_slot_nor_the_pack(N, by_rows, M, L):
    a, b = values(24, M, L, dtype=torch.float32), values(24, L, N, seed=1, dtype=torch.float32)
    if not by_rows:
        a = a.transpose(1, 2).contiguous().transpose(1, 2)
    whole = product(a, b)
    for order in ([*range(23, -1, -1)], [5, 17], [23, 0, 11], [*range(3, 16)]):
        own = a[order] if by_rows else a.transpose(1, 2)[order].transpose(1, 2)
        assert torch.equal(product(own, b[order]), whole[order])


def layers(K: int, dtype: torch.dtype = torch.float64) -> FoldedLinear:
    lone = [torch.nn.Linear(6, 4).to(dtype) for _ in range(K)]
    with torch.no_grad():
        for k, layer in enumerate(lone):
            layer.weight.copy_(values(4, 6, seed=10 + k))
            layer.bias.copy_(values(4, seed=20 + k))
    return FoldedLinear(lone)


def step(layer: FoldedLinear, configs: list[OptimizerConfig], lrs: list[float], N: int, *, early: bool) -> torch.Tensor:
    """One optimizer step on a made-up loss; returns the gradient by the input."""
    K = len(configs)
    optimizer = make_optimizer(layer.parameters(), configs, [layer] if early else ())
    optimizer.set_lrs(lrs)
    x = values(K * 6, N, seed=3).t().requires_grad_()
    layer(x).backward(values(K * 4, N, seed=4).t())
    assert (layer.weight.grad is None) is early
    optimizer.step()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("N", [1, 5, 16])
@pytest.mark.parametrize("decays", [(0.0, 0.0, 0.0), (0.0, 0.1, 0.2)])
def test_a_step_in_the_backward_pass_is_the_step_after_it(N, decays):
    configs = [OptimizerConfig(lr=1.0, weight_decay=decay) for decay in decays]
    early, late = layers(3), layers(3)
    gradients = [step(layer, configs, [0.1, 0.3, 0.7], N, early=layer is early) for layer in (early, late)]
    assert torch.equal(*gradients), "the input's gradient is the old weight's"
    for name, value in late.state_dict().items():
        torch.testing.assert_close(early.state_dict()[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("N", [1, 5, 16])
def test_a_neighbour_s_decay_changes_no_bit(N):
    plain = OptimizerConfig(lr=1.0)
    alone, beside = layers(2, torch.float32), layers(2, torch.float32)
    for layer, other in ((alone, plain), (beside, OptimizerConfig(lr=1.0, weight_decay=0.3))):
        optimizer = make_optimizer(layer.parameters(), [plain, other], [layer])
        optimizer.set_lrs([0.1, 0.2])
        x = values(12, N, seed=3, dtype=torch.float32).t()
        layer(x).backward(values(8, N, seed=4, dtype=torch.float32).t())
        optimizer.step()
    assert torch.equal(alone.weight[0], beside.weight[0])
    assert not torch.equal(alone.weight[1], beside.weight[1])


def test_a_slot_that_is_not_active_stays():
    layer = layers(2)
    before = layer.weight.detach().clone()
    optimizer = make_optimizer(layer.parameters(), [OptimizerConfig(lr=1.0, weight_decay=0.1)] * 2, [layer])
    optimizer.active[1] = False
    optimizer.set_lrs([0.1, 0.1])
    layer(values(12, 3).t()).backward(values(8, 3).t())
    optimizer.step()
    assert torch.equal(layer.weight[1], before[1])
    assert not torch.equal(layer.weight[0], before[0])


@pytest.mark.parametrize("name", ["momentum", "adam", "adamw"])
def test_optimizers_that_remember_gradients_are_given_them(name):
    layer = layers(2)
    make_optimizer(layer.parameters(), [OptimizerConfig(name=name)] * 2, [layer])
    layer(values(12, 3).t()).backward(values(8, 3).t())
    assert layer.weight.grad is not None
