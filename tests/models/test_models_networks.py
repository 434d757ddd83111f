"""The networks: sizes judged by counts made by hand, order by NumPy, geometry by the activations of real networks."""

import numpy as np
import pytest
import torch
from torch import nn

from bnbench.config import Activation, Bias, ModelConfig, NormConfig, Placement
from bnbench.models import MODELS, norm_sites
from bnbench.models.block import Block, make_activation, make_linear
from bnbench.models.geometry import conv_layers
from bnbench.norms.batch import BatchNorm

DEEP_CNN = ("model.name=cnn", "model.depth=19", "model.width=4")


def count_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("overrides", "parameters"),
    [
        ((), 99_710),
        (("norm.name=batch",), 100_010),  # 300 biases fewer, 600 scales and shifts more
        (("norm.name=batch", "norm.placement=after"), 100_310),
        (("norm.name=batch", "norm.affine=false"), 99_410),
        (DEEP_CNN, 337_826),
        ((*DEEP_CNN, "norm.name=batch"), 338_686),
        ((*DEEP_CNN, "norm.name=batch", "norm.placement=after"), 339_546),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_parameters_are_as_many_as_published(net_of, overrides, parameters):
    assert count_parameters(net_of(*overrides)) == parameters


FASHION_FC = ("model.widths=[500,300]", "norm.name=batch")


@pytest.mark.parametrize(
    ("logits", "parameters"),
    [
        ("none", 10),
        ("plain", 0),
        ("affine", 2 * 10),
    ],  # the head's bias; nothing, for the norm cancels it; the norm's affine
)
def test_normalized_logits_leave_the_head_without_a_bias(net_of, logits, parameters):
    weights = 784 * 500 + 500 * 300 + 300 * 10 + 2 * (500 + 300)
    assert count_parameters(net_of(*FASHION_FC, f"norm.logits={logits}")) == weights + parameters


@pytest.mark.parametrize("model", MODELS)
def test_logits_are_normalized_over_the_batch_on_request(net_of, model):
    net = net_of(f"model.name={model}", "model.depth=2", "model.width=8", "norm.name=batch", "norm.logits=plain")
    y = net(torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(y.mean(0), torch.zeros(10), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        y.var(0, unbiased=False), torch.ones(10), rtol=2e-2, atol=0
    )  # eps matters beside small logits


def test_fc_of_depth_0_is_logistic_regression(net_of):
    net = net_of("model.depth=0", image_shape=(2, 3, 4), classes=5).double()
    x = torch.randn(6, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert count_parameters(net) == 24 * 5 + 5
    torch.testing.assert_close(net(x), x.flatten(1) @ net.head.weight.t() + net.head.bias)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_fc_has_as_many_parameters_as_its_sizes_say(net_of, norm):
    net = net_of("model.depth=2", "model.width=7", f"norm.name={norm}", image_shape=(3, 4, 5), classes=4)
    weights = 60 * 7 + 7 * 7 + 7 * 4
    assert count_parameters(net) == weights + 4 + (7 + 7 if norm == "none" else 2 * 2 * 7)


HIDDEN_LAYERS = {"fc": 3, "cnn": 4}


@pytest.mark.parametrize("model", HIDDEN_LAYERS)
@pytest.mark.parametrize(
    ("bias", "norm", "placement", "has_bias"),
    [
        ("auto", "none", "before", True),
        ("auto", "none", "after", True),
        ("auto", "batch", "before", False),
        ("auto", "batch", "after", True),
        ("always", "batch", "before", True),
        ("always", "none", "before", True),
        ("never", "none", "before", False),
        ("never", "batch", "after", False),
    ],
)
def test_a_bias_is_dropped_where_a_norm_cancels_it_or_on_request(net_of, model, bias, norm, placement, has_bias):
    net = net_of(
        f"model.name={model}",
        "model.depth=3",
        "model.width=2",
        f"model.bias={bias}",
        f"norm.name={norm}",
        f"norm.placement={placement}",
    )
    blocks = [module for module in net.modules() if isinstance(module, Block)]
    assert [block.layer.bias is not None for block in blocks] == [has_bias] * HIDDEN_LAYERS[model]
    assert net.head.bias is not None, "nothing normalizes the logits, so their bias always counts"


def test_a_bias_before_batch_norm_has_no_effect():
    block = make_block(Placement.before, Bias.always)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = block(x)
    with torch.no_grad():
        block.layer.bias.add_(5)
    torch.testing.assert_close(block(x), y, rtol=0, atol=1e-12)


def make_block(placement: Placement, bias: Bias = Bias.auto, norm: str = "batch") -> Block:
    model, config = (
        ModelConfig(activation=Activation.relu, bias=bias),
        NormConfig(name=norm, placement=placement),
    )
    layer = make_linear(3, 4, model, config)
    g = torch.Generator().manual_seed(1)
    block = Block(layer, 4, model, config).double()
    with torch.no_grad():
        for p in block.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
    return block


def normalized(x: np.ndarray, block: Block) -> np.ndarray:
    gamma, beta = block.norm.weight.detach().numpy(), block.norm.bias.detach().numpy()
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + beta


def test_before_means_layer_norm_activation():
    block = make_block(Placement.before)
    x = np.random.default_rng(0).standard_normal((6, 3))
    expected = np.maximum(normalized(x @ block.layer.weight.detach().numpy().T, block), 0)
    np.testing.assert_allclose(block(torch.from_numpy(x)).detach(), expected, rtol=1e-10, atol=1e-12)


def test_after_means_layer_activation_norm():
    block = make_block(Placement.after)
    x = np.random.default_rng(0).standard_normal((6, 3))
    linear = x @ block.layer.weight.detach().numpy().T + block.layer.bias.detach().numpy()
    expected = normalized(np.maximum(linear, 0), block)
    np.testing.assert_allclose(block(torch.from_numpy(x)).detach(), expected, rtol=1e-10, atol=1e-12)


def test_without_a_norm_placement_has_no_effect():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before, after = (make_block(placement, norm="none")(x) for placement in Placement)
    assert torch.equal(before, after)


@pytest.mark.parametrize("model", MODELS)
def test_the_logits_are_not_normalized_by_default(net_of, model):
    net = net_of(f"model.name={model}", "model.depth=2", "model.width=2", "norm.name=batch")
    norm_names = [name for name, module in net.named_modules() if isinstance(module, BatchNorm)]
    assert norm_names
    assert not any(name.startswith("head") for name in norm_names)
    assert type(net.head) is nn.Linear


@pytest.mark.parametrize("name", Activation)
def test_activations_are_the_functions_of_their_names(name):
    x = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    sigmoid = 1 / (1 + np.exp(-x))
    expected = {
        "relu": np.maximum(x, 0),
        "leaky_relu": np.where(x > 0, x, 0.01 * x),
        "elu": np.where(x > 0, x, np.expm1(x)),
        "gelu": x * np.array([0.0013498980316301, 0.3085375387259869, 0.5, 0.6914624612740131, 0.9986501019683699]),
        "silu": x * sigmoid,
        "softplus": np.log1p(np.exp(x)),
        "sigmoid": sigmoid,
        "tanh": np.tanh(x),
        "identity": x,
    }[name]
    np.testing.assert_allclose(make_activation(name)(torch.from_numpy(x)), expected, rtol=1e-12)


CNNS = [
    ((1, 28, 28), ("model.depth=19", "model.width=1")),
    ((1, 8, 8), ("model.depth=7", "model.width=2", "model.stride_every=2")),
    ((3, 32, 32), ("model.depth=12", "model.width=1", "model.min_map=4")),
    ((1, 28, 28), ("model.depth=10", "model.width=1", "model.min_map=7")),
    ((3, 9, 14), ("model.depth=6", "model.width=3", "model.stride_every=1", "model.min_map=2")),
    ((1, 8, 8), ("model.depth=2", "model.width=2")),
]


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize(("image_shape", "overrides"), CNNS, ids=str)
def test_geometry_is_that_of_the_real_activations(net_of, image_shape, overrides, norm):
    net = net_of("model.name=cnn", "model.hidden=5", *overrides, f"norm.name={norm}", image_shape=image_shape)
    model = ModelConfig(name="cnn", hidden=5, **{k.split(".")[1]: int(v) for k, v in (o.split("=") for o in overrides)})
    shapes: dict[str, tuple[int, int]] = {}
    for name, module in net.named_modules():
        if isinstance(module, Block):
            module.layer.register_forward_hook(
                lambda module, args, y, name=name: shapes.update({name: (y.shape[1], y[0, 0].numel())})
            )
    net(torch.zeros(2, *image_shape))
    assert [(site.block, (site.channels, site.positions)) for site in norm_sites(model, image_shape, 10)] == list(
        shapes.items()
    )
    strides = [block.layer.stride[0] for block in net.blocks]
    assert [conv.stride for conv in conv_layers(model, image_shape)] == strides


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (2, 9, 6), (1, 7, 7)])
def test_same_padding_is_that_of_tensorflow(net_of, image_shape):
    net = net_of(
        "model.name=cnn", "model.depth=2", "model.width=3", "model.stride_every=2", "model.padding=same",
        "model.activation=identity", image_shape=image_shape,
    )  # fmt: skip
    block = net.blocks[1].double()
    x = torch.randn(2, 3, *image_shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(block(x).detach(), same_conv(x.numpy(), block.layer), rtol=1e-10, atol=1e-12)


def same_conv(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """TensorFlow's SAME convolution with stride 2 by definition: ceil(n / 2) outputs, an odd zero after the image."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    sizes = [-(-n // 2) for n in x.shape[2:]]
    before = [max((out - 1) * 2 + 3 - n, 0) // 2 for out, n in zip(sizes, x.shape[2:], strict=True)]
    y = np.zeros((len(x), len(weight), *sizes)) + bias[:, None, None]
    for i, j in np.ndindex(*sizes):
        for u, v in np.ndindex(3, 3):
            row, column = 2 * i + u - before[0], 2 * j + v - before[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                y[:, :, i, j] += x[:, :, row, column] @ weight[:, :, u, v].T
    return y


def test_same_padding_changes_outputs_and_no_weights(net_of):
    deep = ("model.name=cnn", "model.depth=19", "model.width=1", "norm.name=batch")
    torch_padded, same_padded = (net_of(*deep, f"model.padding={padding}") for padding in ("torch", "same"))
    assert all(torch.equal(value, torch_padded.state_dict()[name]) for name, value in same_padded.state_dict().items())
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(torch_padded(x), same_padded(x))
    padded = [block.padding is not None for block in same_padded.blocks]
    assert [i for i, has_padding in enumerate(padded) if has_padding] == [2, 5, 11, 14], (
        "28, 14, 4 and 2 are even, 7 is odd"
    )


def test_fc_geometry_is_that_of_the_real_activations(net_of):
    net = net_of("model.depth=2", "model.width=7", "norm.name=batch")
    sites = norm_sites(ModelConfig(name="fc", depth=2, width=7), (1, 28, 28), 10)
    norms = [(name, module.features) for name, module in net.named_modules() if isinstance(module, BatchNorm)]
    assert [(f"{site.block}.norm", site.channels) for site in sites] == norms
    assert {site.positions for site in sites} == {1}
    logits = norm_sites(ModelConfig(name="fc", depth=0), (1, 28, 28), 10, logits=True)
    assert logits == [("logits", 10, 1)]


@pytest.mark.parametrize(
    ("image_shape", "depth", "min_map", "maps"),
    [
        ((1, 28, 28), 19, 1, [28] * 2 + [14] * 3 + [7] * 3 + [4] * 3 + [2] * 3 + [1] * 5),
        ((1, 28, 28), 19, 4, [28] * 2 + [14] * 3 + [7] * 3 + [4] * 11),
        ((1, 28, 28), 19, 5, [28] * 2 + [14] * 3 + [7] * 14),
        ((1, 8, 8), 7, 1, [8] * 2 + [4] * 3 + [2] * 2),
        ((3, 32, 32), 4, 1, [32] * 2 + [16] * 2),
    ],
)
def test_every_third_conv_halves_its_map_rounding_up_until_min_map(image_shape, depth, min_map, maps):
    model = ModelConfig(name="cnn", depth=depth, width=4, min_map=min_map)
    layers = conv_layers(model, image_shape)
    assert [(conv.height, conv.width) for conv in layers] == [(side, side) for side in maps]
    assert [conv.out_channels for conv in layers] == [4 * (index + 1) for index in range(depth)]
    assert [conv.in_channels for conv in layers] == [image_shape[0], *[4 * (i + 1) for i in range(depth - 1)]]


@pytest.mark.parametrize("min_map", [1, 2, 3, 4])
def test_no_stride_leaves_a_map_smaller_than_min_map(min_map):
    for side in range(min_map, 40):
        layers = conv_layers(ModelConfig(name="cnn", depth=9, stride_every=1, min_map=min_map), (1, side, side + 3))
        assert min(conv.height for conv in layers) >= min_map
        last = layers[-1]
        assert (last.height + 1) // 2 < min_map or last.height == 1, "maps are halved as long as min_map allows"
