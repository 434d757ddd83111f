"""Variants of any network: norms moved, put in, left out, exchanged and kept, each judged by a network written so."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import Config, ConfigError, Init, ModelConfig, NormConfig, Placement, Trial
from bnbench.models import build_model
from bnbench.models.own import own_network, survey
from bnbench.norms.batch import BatchNorm
from bnbench.packing.packability import reason_against_packs
from bnbench.packing.rehearsal import rehearse

IMAGES, CLASSES = (3, 6, 6), 5
Body = Callable[["Two", Tensor], Tensor]
MakeNetwork = Callable[..., nn.Module]
BEFORE, AFTER = Placement.before, Placement.after
_NUMBERS = count()  # what is found of a network is kept by the name of its function


class Two(nn.Module):
    """Two conv layers and a head, put together by a function."""

    def __init__(self, body: Body, *, norms: bool = True) -> None:
        super().__init__()
        self.conv1, self.conv2, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 8, 3), nn.Linear(8, CLASSES)
        if norms:
            self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(8)
        self.act = nn.ReLU()
        self.act1, self.act2, self.gelu = nn.ReLU(inplace=True), nn.ReLU(inplace=True), nn.GELU()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self, x).mean((2, 3)))


def before_act(net: Two, x: Tensor) -> Tensor:
    x = net.act1(net.norm1(net.conv1(x)))
    return net.act2(net.norm2(net.conv2(x)))


def before_shared_act(net: Two, x: Tensor) -> Tensor:
    x = net.act(net.norm1(net.conv1(x)))
    return net.act(net.norm2(net.conv2(x)))


def before_function(net: Two, x: Tensor) -> Tensor:
    x = F.relu(net.norm1(net.conv1(x)))
    return net.norm2(net.conv2(x)).relu()


def after_act(net: Two, x: Tensor) -> Tensor:
    x = net.norm1(net.act1(net.conv1(x)))
    return net.norm2(net.act2(net.conv2(x)))


def without_norms(net: Two, x: Tensor) -> Tensor:
    return net.act(net.conv2(net.act(net.conv1(x))))


@pytest.fixture
def custom_model(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelConfig]:
    """Gives the configuration of a network that a function of this file makes."""

    def configure(make_network: MakeNetwork, **keys: object) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: make_network)
        return ModelConfig(name="custom", factory=f"here:make{next(_NUMBERS)}", **keys)  # type: ignore[arg-type]

    return configure


def trial(model: ModelConfig, **norm: object) -> Trial:
    config = Config(model=model, norm=NormConfig(**norm))  # type: ignore[arg-type]
    return Trial.from_config(config, train_size=1000, data_checksum="")


def network(model: ModelConfig, **norm: object) -> nn.Module:
    return build_model(trial(model, **norm), IMAGES, CLASSES).double()


def written(body: Body, drawn: nn.Module) -> Two:
    """The network of a function of this file, with the layers of another one, in double precision."""
    net = Two(body).double()
    state = {name.replace(".normed_layer", ""): value for name, value in drawn.state_dict().items()}
    layers = {name: value for name, value in state.items() if name.split(".")[0] in ("conv1", "conv2", "head")}
    net.load_state_dict(layers, strict=False)
    return net


@pytest.mark.parametrize(
    ("body", "norms", "placement", "expected"),
    [
        (before_act, True, AFTER, after_act),
        (before_shared_act, True, AFTER, after_act),
        (before_function, True, AFTER, after_act),
        (after_act, True, BEFORE, before_act),
        (before_act, True, BEFORE, before_act),
        (after_act, True, AFTER, after_act),
        (after_act, True, None, after_act),
        (without_norms, False, None, before_act),
        (without_norms, False, BEFORE, before_act),
        (without_norms, False, AFTER, after_act),
    ],
    ids=["before to after", "with a shared activation", "with functions", "after to before", "before stays",
         "after stays", "none asked", "put in", "put in before", "put in after"],
)  # fmt: skip
@pytest.mark.parametrize("training", [True, False])
def test_a_norm_stands_where_it_is_asked_for(body, norms, placement, expected, training, custom_model) -> None:
    """Judge: the network written so by hand, with torch's batch norm and the same weights; outputs and gradients."""
    net = network(custom_model(lambda *_: Two(body, norms=norms)), name="batch", placement=placement)
    judge = written(expected, net)
    images = torch.rand(4, *IMAGES, dtype=torch.float64)
    for one in (net, judge):
        one.train()(images)  # so that running statistics are not those of the start
        one.train(training)
    ours, theirs = net(images), judge(images)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)
    for one, y in ((net, ours), (judge, theirs)):
        one.zero_grad()
        y.square().sum().backward()
    [ours_first, theirs_first] = [next(one.conv1.parameters()).grad for one in (net, judge)]  # type: ignore[union-attr]
    assert torch.allclose(ours_first, theirs_first, rtol=0, atol=1e-10)


@pytest.mark.parametrize("body", [before_act, after_act, before_function, without_norms])
def test_every_variant_starts_from_the_same_weights(body, custom_model) -> None:
    model = custom_model(lambda *_: Two(body, norms=body is not without_norms))
    kinds = ["batch", "layer", *(["own"] if body is not without_norms else [])]
    plain = network(model, name="none").state_dict()
    for placement in (None, BEFORE, AFTER):
        for kind in kinds:
            state = network(model, name=kind, placement=placement).state_dict()
            drawn = {name.replace(".normed_layer", ""): value for name, value in state.items()}
            assert [name for name, value in plain.items() if not torch.equal(drawn[name], value)] == []


@pytest.mark.parametrize(
    ("without", "left"), [("norm1", ["norm2"]), ("norm2", ["norm1"]), ("norm1+norm2", [])], ids=["1", "2", "both"]
)
@pytest.mark.parametrize("name", ["own", "batch"])
def test_the_norms_of_one_part_are_left_out(name, without, left, custom_model) -> None:
    net = network(custom_model(lambda *_: Two(before_act)), name=name, without=without)
    assert [path for path, module in net.named_modules() if isinstance(module, BatchNorm)] == left
    assert net(torch.rand(2, *IMAGES, dtype=torch.float64)).shape == (2, CLASSES)


def test_the_norm_of_a_layer_can_be_left_out_where_norms_are_put_in(custom_model) -> None:
    net = network(custom_model(lambda *_: Two(without_norms, norms=False)), name="batch", without="conv1")
    assert [path for path, module in net.named_modules() if isinstance(module, BatchNorm)] == ["conv2.norm"]


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class BatchNormAct(nn.BatchNorm2d):
    """Batch norm and the activation that it holds; `factor` makes it something else than batch norm."""

    def __init__(self, channels: int, factor: float = 1.0) -> None:
        super().__init__(channels, eps=1e-3, momentum=0.3)
        self.act, self.factor = nn.SiLU(inplace=True), factor

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x) * self.factor)


class Tokens(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Linear(3, 8), norm, nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.embed(x.flatten(2).transpose(1, 2))).mean(1))


def image_net(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES))


OWN: dict[str, Callable[[], nn.Module]] = {
    "batch": lambda: image_net(nn.BatchNorm2d(8, eps=1e-3, momentum=0.3)),
    "cumulative": lambda: image_net(nn.BatchNorm2d(8, momentum=None)),
    "group": lambda: image_net(nn.GroupNorm(2, 8, eps=1e-3)),
    "instance": lambda: image_net(nn.InstanceNorm2d(8)),
    "with activation": lambda: image_net(BatchNormAct(8)),
    "another formula": lambda: image_net(BatchNormAct(8, 2.0)),
    "LayerNorm2d": lambda: image_net(LayerNorm2d(8)),
    "tokens": lambda: Tokens(nn.LayerNorm(8)),
}


@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_its_own_norms_compute_what_they_compute_in_the_network(make, custom_model) -> None:
    """Judge: the network as its function makes it."""
    judge = make().double()
    net = own_network(custom_model(lambda *_: make(), init=Init.own), NormConfig(name="own"), IMAGES, CLASSES).double()
    names = {name.split(".")[-2] + name.split(".")[-1]: p for name, p in judge.named_parameters() if p.dim() > 1}
    for name, value in net.named_parameters():
        if value.dim() > 1:
            value.data.copy_(names[name.split(".")[-2] + name.split(".")[-1]].data)
    biases = [[p for name, p in one.named_parameters() if p.dim() == 1] for one in (net, judge)]
    for ours, theirs in zip(*biases, strict=True):
        ours.data.copy_(theirs.data)
    for training in (True, True, False):
        images = torch.randn(4, *IMAGES, dtype=torch.float64)
        ours, theirs = (one.train(training)(images.clone()) for one in (net, judge))
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_an_activation_inside_a_norm_is_put_before_it(custom_model) -> None:
    net = network(custom_model(OWN["with activation"]), name="own", placement=AFTER)
    conv, norm = net[0], nn.BatchNorm2d(8, eps=1e-3, momentum=0.3).double()
    images = torch.rand(4, *IMAGES, dtype=torch.float64)
    expected = net[4](norm(F.silu(conv(images))).mean((2, 3)))
    assert torch.allclose(net(images), expected, rtol=0, atol=1e-12)


def test_a_norm_that_cannot_be_taken_apart_from_its_activation_is_refused(custom_model) -> None:
    model = custom_model(OWN["another formula"])
    with pytest.raises(ConfigError, match=r"1 \(BatchNormAct\) applies SiLU itself and computes something else"):
        network(model, name="own", placement=AFTER)
    network(model, name="own")
    network(model, name="batch", placement=AFTER)


@pytest.mark.parametrize(
    ("name", "judge"),
    [
        ("layer", lambda x: F.layer_norm(x, (8,))),
        ("rms", lambda x: F.rms_norm(x, (8,), eps=2**-23)),
        ("group", lambda x: F.group_norm(x.reshape(-1, 8), 4).view_as(x)),
        ("batch", lambda x: F.batch_norm(x.reshape(-1, 8), None, None, training=True).view_as(x)),
        ("instance", lambda x: F.instance_norm(x.transpose(1, 2)).transpose(1, 2)),
    ],
)
def test_a_norm_takes_the_place_of_a_norm_of_tokens(name, judge, custom_model) -> None:
    net = network(custom_model(lambda *_: Tokens(nn.LayerNorm(8))), name=name)
    images = torch.rand(4, *IMAGES, dtype=torch.float64)
    tokens = net.embed(images.flatten(2).transpose(1, 2))
    assert torch.allclose(net.norm(tokens), judge(tokens), rtol=0, atol=1e-12)
    net(images).sum().backward()


@pytest.mark.parametrize(("name", "axes"), [("layer", (1,)), ("batch", (0, 2, 3))])
def test_a_norm_takes_the_place_of_a_layer_norm_of_pixels(name, axes, custom_model) -> None:
    net = network(custom_model(OWN["LayerNorm2d"]), name=name)
    y = net[1](torch.rand(4, 8, 4, 4, dtype=torch.float64))
    assert torch.allclose(y.mean(axes), torch.zeros(()).double(), atol=1e-12)
    assert torch.allclose(y.var(axes, unbiased=False), torch.ones(()).double(), atol=2e-2)  # of eps


def ignoring(net: Two, x: Tensor) -> Tensor:
    x = net.norm1(net.conv1(x))
    net.act1(x)  # in place
    return net.norm2(net.conv2(x)).relu()


def otherwise_in_training(net: Two, x: Tensor) -> Tensor:
    y = net.norm1(net.conv1(x))
    y = net.act(y * 1 if net.training else y)
    return net.norm2(net.conv2(y)).relu()


@pytest.mark.parametrize(
    ("body", "lost"), [(ignoring, "norm1: in training"), (otherwise_in_training, "norm1: in training")]
)
def test_a_norm_that_would_be_lost_is_refused(body, lost, custom_model) -> None:
    model = custom_model(lambda *_: Two(body))
    network(model, name="batch")
    with pytest.raises(ConfigError, match=f"norm.placement cannot move {lost}.*assign that"):
        network(model, name="batch", placement=AFTER)


@pytest.mark.parametrize(
    "norm", [{"name": "own"}, {"name": "batch", "placement": AFTER}, {"name": "own", "without": "norm1"}]
)
@pytest.mark.parametrize("body", [before_act, before_shared_act, after_act])
def test_variants_of_plain_layers_are_trained_in_packs(norm, body, custom_model) -> None:
    one = trial(custom_model(lambda *_: Two(body)), **norm)
    assert rehearse(one, IMAGES, CLASSES).changed_attributes == ()
    assert reason_against_packs(one, IMAGES, CLASSES) is None


def test_placement_and_left_out_norms_make_another_trial_of_an_own_network_only_where_they_are_set() -> None:
    model = ModelConfig(name="custom", factory="bnbench.examples.network:residual")
    keys = [
        trial(model, name="batch", placement=placement, without=without).key
        for placement in (None, BEFORE, AFTER) for without in (None, "1")
    ]  # fmt: skip
    assert len({*keys}) == 6
    assert {*trial(model, name="batch").params} & {"norm.placement", "norm.without"} == set()
    assert trial(model, name="none", placement=AFTER, without="1").key == trial(model, name="none").key
    blocks = ModelConfig(name="fc")
    assert trial(blocks, name="batch").key == trial(blocks, name="batch", placement=BEFORE).key
    assert trial(blocks, name="batch").params["norm.placement"] == "before"


def test_norms_are_listed_with_their_places(custom_model) -> None:
    found = survey(custom_model(lambda *_: Two(before_shared_act)), IMAGES, CLASSES)
    assert [(place.path, place.layer, place.after, place.placement) for place in found.places] == [
        ("norm1", "conv1", "ReLU", BEFORE), ("norm2", "conv2", "ReLU", BEFORE)
    ]  # fmt: skip
    assert found.has_norms
