"""Dropout: the stated share of zeros, an unbiased mean, and masks that depend on the trial's seed and step alone."""

import math

import pytest
import torch

from bnbench.models.dropout import Dropout

SHAPES = [(50, 400), (50, 16, 5, 5)]


def dropout(p: float, seed: int = 1) -> Dropout:
    layer = Dropout(p).double()
    layer.reseed(seed)
    return layer


def ones(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.float64)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_dropped_with_probability_p_and_the_others_scaled_so_that_the_mean_stays(shape, p):
    y = dropout(p)(ones(shape))
    dropped = (y == 0).double()
    assert dropped.mean().item() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / y.numel()))  # four standard errors
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - p)), rtol=1e-12, atol=0)
    by_example, by_channel = dropped.flatten(1).mean(1), dropped.transpose(0, 1).flatten(1).mean(1)
    assert by_example.std() < 0.06, "each example has its mask"
    assert by_channel.std() < 0.1, "each channel has its mask"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_passes_where_the_value_did(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = dropout(0.3)(x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(grad * x.detach(), y.detach(), rtol=1e-12, atol=1e-12)


def test_evaluation_drops_nothing_and_draws_no_mask():
    layer, x = dropout(0.9), ones((4, 7))
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(layer.train()(x), dropout(0.9)(x))


def test_masks_change_with_the_step_and_with_the_seed_and_repeat():
    x, layer = ones((6, 40)), dropout(0.5)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert torch.equal(dropout(0.5)(x), first)
    assert not torch.equal(dropout(0.5, seed=2)(x), first)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_folded_trial_has_its_own_probability_and_masks(shape):
    settings = [(0.2, 5), (0.7, 6), (0.2, 7)]
    folded = Dropout.fold([dropout(p, seed) for p, seed in settings])
    alone = [dropout(p, seed) for p, seed in settings]
    for _ in range(2):
        together = folded(torch.cat([ones(shape)] * 3, 1))
        for mask, layer in zip(together.chunk(3, 1), alone, strict=True):
            assert torch.equal(mask, layer(ones(shape)))


@pytest.mark.parametrize(("model", "blocks"), [("fc", 2), ("cnn", 3)])
@pytest.mark.parametrize("placement", ["before", "after"])
def test_every_hidden_block_ends_with_dropout_and_no_two_share_masks(net_of, model, blocks, placement):
    net = net_of(
        f"model.name={model}",
        "model.depth=2",
        "model.width=4",
        "model.hidden=10",
        "model.dropout=0.5",
        "norm.name=batch",
        f"norm.placement={placement}",
        image_shape=(1, 6, 6),
    )
    layers = [module for module in net.modules() if isinstance(module, Dropout)]
    assert len(layers) == blocks
    assert len({int(layer.seeds) for layer in layers}) == blocks
    outputs: list[torch.Tensor] = []
    net.blocks[0].register_forward_hook(lambda module, args, y: outputs.append(y))
    net(torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0)))
    share = (outputs[0] == 0).double().mean()
    if placement == "after":  # with placement=before, the zeros of relu are among them
        assert share.item() == pytest.approx(0.5, abs=0.1)
    else:
        assert share > 0.6


def test_without_dropout_a_block_has_no_dropout_layer(net_of):
    assert net_of("model.depth=2").blocks[0].dropout is None
