"""Initial weights, judged by closed-form moments; arms of one seed share every parameter that both have."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

ARMS = [
    (f"norm.name={norm}", f"norm.placement={placement}", f"model.bias={bias}", f"norm.affine={affine}")
    for norm, placement, bias, affine in [
        ("none", "before", "auto", True),
        ("batch", "before", "auto", True),
        ("batch", "after", "auto", True),
        ("batch", "before", "always", False),
        ("none", "before", "never", True),
    ]
]
SMALL = {
    "fc": ("model.depth=2", "model.width=9"),
    "cnn": ("model.name=cnn", "model.depth=3", "model.width=2"),
}
FAN_IN, FAN_OUT = 200, 300  # of the hidden layer of `hidden_weight`, which has 60,000 weights
SCHEMES = ("torch", "kaiming_uniform", "kaiming_normal", "xavier_uniform", "xavier_normal")
SD_SCHEMES = ("normal", "truncated_normal")


def hidden_weight(net_of, *overrides: str) -> torch.Tensor:
    """The weights of a hidden layer, (300, 200)."""
    net = net_of("model.depth=1", f"model.width={FAN_OUT}", *overrides, image_shape=(2, 10, 10))
    return net.blocks[0].layer.weight.detach().double()


def conv_weight(net_of, *overrides: str) -> torch.Tensor:
    """The weights of a conv layer, (48, 24, 3, 3)."""
    net = net_of("model.name=cnn", "model.depth=2", "model.width=24", *overrides, image_shape=(1, 6, 6))
    return net.blocks[1].layer.weight.detach().double()


def expected_sd(scheme: str, fan_in: int, fan_out: int, gain: float = math.sqrt(2)) -> float:
    return {
        "torch": 1 / math.sqrt(3 * fan_in),
        "kaiming_uniform": gain / math.sqrt(fan_in),
        "kaiming_normal": gain / math.sqrt(fan_in),
        "xavier_uniform": math.sqrt(2 / (fan_in + fan_out)),
        "xavier_normal": math.sqrt(2 / (fan_in + fan_out)),
        "normal": 0.03,
        "truncated_normal": 0.03 * 0.879626,  # the standard deviation of a normal variable cut at two of its own
    }[scheme]


@pytest.mark.parametrize("model", SMALL)
def test_arms_of_one_seed_share_every_weight_they_both_have(net_of, model):
    states = [net_of("seed=4", *SMALL[model], *arm).state_dict() for arm in ARMS]
    for state in states[1:]:
        shared = [name for name in state if name in states[0] and ".norm." not in name]
        assert sum(name.endswith("weight") for name in shared) == {"fc": 3, "cnn": 5}[model]
        assert all(torch.equal(state[name], states[0][name]) for name in shared)


@pytest.mark.parametrize("model", SMALL)
def test_two_seeds_differ_in_every_weight_and_one_seed_repeats(net_of, model):
    first, repeated, other = (dict(net_of(f"seed={seed}", *SMALL[model]).named_parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], repeated[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_no_two_layers_of_one_shape_share_their_weights(net_of):
    net = net_of("model.depth=3", "model.width=9")
    assert not torch.equal(net.blocks[1].layer.weight, net.blocks[2].layer.weight)


def test_the_global_generator_has_no_effect(net_of):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = net_of(*SMALL["cnn"]).state_dict()
    torch.set_rng_state(state)
    torch.rand(7)
    second = net_of(*SMALL["cnn"]).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("scheme", [*SCHEMES, *SD_SCHEMES])
def test_weights_have_the_moments_of_their_scheme(net_of, scheme):
    for weight, fans in [
        (hidden_weight(net_of, f"model.init={scheme}", "model.init_sd=0.03"), (FAN_IN, FAN_OUT)),
        (conv_weight(net_of, f"model.init={scheme}", "model.init_sd=0.03"), (24 * 9, 48 * 9)),
    ]:
        sd, n = expected_sd(scheme, *fans), weight.numel()
        assert abs(weight.mean()) < 4 * sd / math.sqrt(n)  # four standard errors
        assert weight.std().item() == pytest.approx(
            sd, rel=4 / math.sqrt(2 * n)
        )  # four standard errors for normal weights


@pytest.mark.parametrize("scheme", ["torch", "kaiming_uniform", "xavier_uniform"])
def test_uniform_weights_fill_an_interval_of_sqrt_3_standard_deviations(net_of, scheme):
    weight = hidden_weight(net_of, f"model.init={scheme}")
    bound = math.sqrt(3) * expected_sd(scheme, FAN_IN, FAN_OUT)
    assert weight.abs().max().item() == pytest.approx(bound, rel=1e-3)  # the largest of 60,000 draws is this near
    assert weight.abs().max() <= bound * (1 + 1e-6)  # single precision


def test_truncated_normal_weights_stay_within_two_standard_deviations(net_of):
    weight = hidden_weight(net_of, "model.init=truncated_normal", "model.init_sd=0.03")
    assert 0.0599 < weight.abs().max() <= 0.06 * (1 + 1e-6)  # single precision


@pytest.mark.parametrize("scheme", ["kaiming_normal", "xavier_normal", "normal"])
def test_normal_weights_have_normal_kurtosis(net_of, scheme):
    weight = hidden_weight(net_of, f"model.init={scheme}")
    kurtosis = ((weight / weight.std()) ** 4).mean().item()
    assert kurtosis == pytest.approx(3, abs=4 * math.sqrt(24 / weight.numel()))  # four standard errors; uniform: 1.8


def test_orthogonal_weights_have_orthonormal_columns(net_of):
    for weight in (
        hidden_weight(net_of, "model.init=orthogonal"),
        conv_weight(net_of, "model.init=orthogonal").flatten(1),
    ):
        short = weight if weight.shape[0] < weight.shape[1] else weight.t()
        identity = torch.eye(short.shape[0], dtype=torch.float64)
        torch.testing.assert_close(short @ short.t(), identity, rtol=0, atol=1e-5)  # single precision


@pytest.mark.parametrize(
    ("activation", "gain"),
    [
        ("relu", math.sqrt(2)),
        ("gelu", math.sqrt(2)),
        ("silu", math.sqrt(2)),
        ("leaky_relu", math.sqrt(2 / (1 + 0.01**2))),
        ("tanh", 5 / 3),
        ("sigmoid", 1),
        ("identity", 1),
    ],
)
def test_kaiming_follows_the_activation(net_of, activation, gain):
    relu = hidden_weight(net_of, "model.init=kaiming_normal", "model.activation=relu")
    other = hidden_weight(net_of, "model.init=kaiming_normal", f"model.activation={activation}")
    torch.testing.assert_close(other, relu * gain / math.sqrt(2), rtol=1e-5, atol=1e-9)  # single precision


@pytest.mark.parametrize("scheme", [*SCHEMES, *SD_SCHEMES, "orthogonal"])
def test_the_gain_multiplies_the_weights_and_leaves_the_head_alone(net_of, scheme):
    plain, doubled = (net_of(*SMALL["cnn"], f"model.init={scheme}", f"model.init_gain={gain}") for gain in (1, 2))
    plain_state, doubled_state = plain.state_dict(), doubled.state_dict()
    for name, value in plain_state.items():
        factor = 1 if name.startswith("head") or name.endswith("bias") else 2
        assert torch.equal(doubled_state[name], factor * value), name


def test_biases_are_uniform_as_in_torch_with_its_scheme_and_zero_with_the_others(net_of):
    def bias(scheme):
        return net_with_hidden_layer(net_of, scheme).blocks[0].layer.bias.detach().double()

    assert bias("torch").std().item() == pytest.approx(1 / math.sqrt(3 * FAN_IN), rel=0.15)  # 300 draws
    assert bias("torch").abs().max() <= 1 / math.sqrt(FAN_IN)
    for scheme in [*SCHEMES[1:], *SD_SCHEMES, "orthogonal"]:
        assert bias(scheme).count_nonzero() == 0


def net_with_hidden_layer(net_of, scheme):
    return net_of("model.depth=1", f"model.width={FAN_OUT}", f"model.init={scheme}", image_shape=(2, 10, 10))


def test_the_head_is_initialized_by_its_own_keys(net_of):
    base = net_of("model.depth=1", "model.width=400")
    other = net_of(
        "model.depth=1", "model.width=400", "model.head_init=normal", "model.head_sd=0.2", "model.head_gain=3"
    )
    assert torch.equal(base.blocks[0].layer.weight, other.blocks[0].layer.weight)
    assert torch.equal(base.blocks[0].layer.bias, other.blocks[0].layer.bias)
    assert other.head.weight.std().item() == pytest.approx(0.6, rel=4 / math.sqrt(2 * 4000))  # four standard errors
    assert other.head.bias.count_nonzero() == 0


def test_the_head_takes_the_hidden_layers_scheme_and_sd_by_default(net_of):
    net = net_of("model.depth=1", "model.width=400", "model.init=normal", "model.init_sd=0.02")
    assert net.head.weight.std().item() == pytest.approx(0.02, rel=4 / math.sqrt(2 * 4000))  # four standard errors


def test_double_precision_starts_from_the_same_numbers(net_of):
    single, double = (net_of(*SMALL["fc"], f"training.precision={p}").state_dict() for p in ("float32", "float64"))
    assert {value.dtype for value in double.values()} == {torch.float64}
    assert all(torch.equal(double[name], value.double()) for name, value in single.items())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40), depth=st.integers(1, 4))
def test_a_deeper_network_starts_from_the_same_first_layers(net_of, seed, depth):
    shallow, deep = (
        net_of(f"seed={seed}", f"model.depth={d}", "model.width=3", image_shape=(1, 2, 2)) for d in (depth, depth + 1)
    )
    for shallow_block, deep_block in zip(shallow.blocks, deep.blocks, strict=False):
        assert torch.equal(shallow_block.layer.weight, deep_block.layer.weight)
