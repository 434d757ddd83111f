"""Networks of lanes: against plain torch in double precision, and to the bit against themselves.

What torch in single precision is off by is the measure of the first: the kernels must be as good.
"""

from __future__ import annotations

import copy
import ctypes
import hashlib
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import Loss, ModelConfig, NormConfig, Padding, Placement, Statistics
from bnbench.lanes.layers import Activation, LaneLayer, lane_layers
from bnbench.lanes.network import Array, LabelledImages, LaneNetwork, Normalizer, Rule, Settings
from bnbench.models import cnn, fc
from bnbench.norms.batch import BatchNorm

CLASSES = 10
_ATTRIBUTES = {
    Array.weight: "weight",
    Array.bias: "bias",
    Array.gamma: "weight",
    Array.beta: "bias",
    Array.learned_eps: "learned_eps",
    Array.threshold: "threshold",
    Array.running_mean: "running_mean",
    Array.running_var: "running_var",
}


@cache
def integers(count: int, below: int, seed: int) -> Tensor:
    """So many whole numbers that look random and are the same with any version of anything."""
    mixed = (torch.arange(count, dtype=torch.int64) + 7919 * seed + 1) * 2654435761 % 2**32
    mixed = (mixed ^ (mixed >> 15)) * 2246822519 % 2**32
    return (mixed ^ (mixed >> 13)) % below


def fractions(shape: Sequence[int], seed: int) -> Tensor:
    """Numbers in [-1, 1) that are exact in single precision, likewise."""
    count = int(torch.tensor([*shape]).prod())
    return (integers(count, 2**16, seed).double() / 2**15 - 1).float().view(*shape)


@dataclass
class Case:
    """What is trained: networks of some trials, by their seeds, and how.

    Attributes:
        model: The section `model`.
        norm: The section `norm`.
        shape: Shape (C, H, W) of an image.
        batch_size: N.
        rule: The optimizer.
        loss: The loss.
        settings: The numbers of a trial, by seed.
        lr: The largest learning rate.
    """

    model: ModelConfig
    norm: NormConfig
    shape: tuple[int, int, int]
    batch_size: int
    rule: Rule = Rule.sgd
    loss: Loss = Loss.softmax
    settings: Callable[[int], Settings] = lambda seed: Settings(norm_momentum=0.1 + seed / 40)
    lr: float = 0.05
    cumulative: bool = False

    def net(self, seed: int) -> nn.Module:
        """The network of a trial, in plain torch, with weights that no library's random numbers change."""
        network = fc.FC if self.model.name == "fc" else cnn.CNN
        net = network(self.model, self.norm.resolved(), self.shape, CLASSES)
        with torch.no_grad():
            for number, (name, parameter) in enumerate(net.named_parameters()):
                drawn = fractions(parameter.shape, 1000 * seed + number)
                if "norm" in name:
                    parameter.add_(drawn / 4)
                else:
                    fan_in = parameter[0].numel() if parameter.dim() > 1 else 16
                    parameter.copy_(drawn * 1.5 / 2 ** round(torch.tensor(float(fan_in)).log2().item() / 2))
        return net

    @property
    def images(self) -> tuple[Tensor, Tensor]:
        """200 images and their labels."""
        pixels = integers(200 * self.shape[0] * self.shape[1] * self.shape[2], 256, 1).to(torch.uint8)
        return pixels.view(200, *self.shape), integers(200, CLASSES, 2)

    def scaled(self, rows: Tensor, seed: int, dtype: torch.dtype) -> Tensor:
        scale, shift = (x[0].to(dtype).view(-1, 1, 1) for x in self.scaling([seed]))
        return self.images[0][rows].to(dtype) * scale + shift

    def scaling(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        channels = self.shape[0]
        scale = torch.tensor([[2.0 ** -(7 + (seed + c) % 2) for c in range(channels)] for seed in seeds])
        shift = torch.tensor([[-0.5 - (seed % 4 + c) / 8 for c in range(channels)] for seed in seeds])
        return scale, shift

    def rows(self, steps: int, seeds: Sequence[int]) -> Tensor:
        drawn = [integers(steps * self.batch_size, 200, 31 + seed).view(steps, self.batch_size) for seed in seeds]
        return torch.stack(drawn, 1)

    def lrs(self, steps: int, seeds: Sequence[int]) -> Tensor:
        decay = torch.linspace(1, 0.5, steps, dtype=torch.float64).unsqueeze(1)
        return self.lr * decay * torch.tensor([1 - seed / 32 for seed in seeds], dtype=torch.float64)

    def lanes(self, library: ctypes.CDLL, seeds: Sequence[int]) -> LaneNetwork:
        """A network of lanes with those trials."""
        nets = [self.net(seed) for seed in seeds]
        settings = [self.settings(seed) for seed in seeds]
        network = LaneNetwork(
            library,
            lane_layers(nets[0], self.shape, self.batch_size, decays=any(s.weight_decay for s in settings)),
            settings,
            image_shape=self.shape,
            batch_size=self.batch_size,
            loss=self.loss,
            rule=self.rule,
            cumulative=self.cumulative,
        )
        write(network, [net.state_dict() for net in nets])
        return network

    def source(self, seeds: Sequence[int]) -> LabelledImages:
        return LabelledImages(*self.images, *self.scaling(seeds))


def names(network: LaneNetwork) -> list[tuple[str, int, Array]]:
    """The entries of a lone network's state_dict that the kernels hold, each with its layer and its array."""
    return [
        (
            f"{layer.path if array in (Array.weight, Array.bias) else layer.norm_path}.{attribute(layer, array)}",
            index,
            array,
        )
        for index, layer in enumerate(network.layers)
        for array in network.arrays(index)
    ]


def attribute(layer: LaneLayer, array: Array) -> str:
    return "running_std" if layer.r_max and array == Array.running_var else _ATTRIBUTES[array]


def write(network: LaneNetwork, states: Sequence[dict[str, Tensor]]) -> None:
    for name, layer, array in names(network):
        network.write(layer, array, torch.stack([state[name] for state in states]))


def read(network: LaneNetwork, like: dict[str, Tensor], moments: int = 0) -> list[dict[str, Tensor]]:
    """Each trial's state_dict, and what the optimizer keeps, under names that end in its number."""
    states: list[dict[str, Tensor]] = [{} for _ in range(network.trials)]
    for name, layer, array in names(network):
        for moment in range(1 + (moments if array <= Array.threshold else 0)):
            values = like[name].expand(network.trials, *like[name].shape).clone()
            network.read(layer, array, values, moment)
            for state, value in zip(states, values, strict=True):
                state[f"{name}.{moment}" if moment else name] = value
    return states


def read_of_seeds(case: Case, network: LaneNetwork, seeds: Sequence[int]) -> list[dict[str, Tensor]]:
    """Each trial's state_dict; taps that meet no pixel, which the kernels do not hold, are those of its own network."""
    return [read(network, case.net(seed).state_dict())[trial] for trial, seed in enumerate(seeds)]


NORMS = {
    "none": NormConfig(name="none"),
    "before": NormConfig(name="batch"),
    "after": NormConfig(name="batch", placement=Placement.after),
}
OTHERS = {
    "layer": NormConfig(name="layer"),
    "group": NormConfig(name="group", groups=3),
    "instance": NormConfig(name="instance"),
    "rms": NormConfig(name="rms"),
    "ghost": NormConfig(name="ghost_batch", ghost_size=3),
    "renorm": NormConfig(name="batch_renorm", r_max=1.5, d_max=0.5, renorm_warmup_steps=3, single_value="constant"),
    "frozen": NormConfig(name="frozen_batch"),
    "filter": NormConfig(name="filter_response"),
}
FC = ModelConfig(name="fc", widths=[20, 9])
CNN = ModelConfig(name="cnn", depth=8, width=3, hidden=10)
SEEDS = [0, 3, 7]
_MARGIN = 4.0  # times the error of torch in single precision
_LEAST = 2e-6  # relative: where torch happens to be exact
_OF_ONE = 1e-3  # of an array's movement: where a unit of a few is on the other side of its activation's kink
_OF_EVALUATION = 5e-4  # relative: the loss of weights that are as far off


def optimizer(rule: Rule, settings: Settings, net: nn.Module) -> torch.optim.Optimizer:
    decay = {"weight_decay": settings.weight_decay, "lr": 1.0}
    if rule == Rule.sgd:
        return torch.optim.SGD(net.parameters(), **decay)
    if rule in (Rule.momentum, Rule.nesterov):
        return torch.optim.SGD(net.parameters(), momentum=settings.momentum, nesterov=rule == Rule.nesterov, **decay)
    kind = torch.optim.Adam if rule == Rule.adam else torch.optim.AdamW
    return kind(net.parameters(), betas=(settings.beta1, settings.beta2), eps=settings.eps, **decay)


def loss_of(loss: Loss, logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    if loss == Loss.softmax:
        return F.cross_entropy(logits, labels, reduction=reduction)
    hot = F.one_hot(labels, CLASSES).to(logits)
    each = F.binary_cross_entropy_with_logits(logits, hot, reduction="none").mean(1)
    return each.mean() if reduction == "mean" else each.sum()


def in_torch(case: Case, seed: int, steps: int, dtype: torch.dtype) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network after so many steps, and its state, the losses, and the last step's right answers."""
    net = case.net(seed).to(dtype).train()
    for norm in net.modules():
        if isinstance(norm, BatchNorm):
            norm.momenta, norm.cumulative = (case.settings(seed).norm_momentum,), case.cumulative
    update = optimizer(case.rule, case.settings(seed), net)
    rows, lrs = case.rows(steps, [seed])[:, 0], case.lrs(steps, [seed])[:, 0]
    losses = []
    right = 0
    for step in range(steps):
        logits = net(case.scaled(rows[step], seed, dtype))
        labels = case.images[1][rows[step]]
        loss = loss_of(case.loss, logits, labels)
        right = int((logits.argmax(1) == labels).sum())
        update.param_groups[0]["lr"] = float(lrs[step])
        update.zero_grad()
        loss.backward()
        update.step()
        losses.append(loss.item())
    state = {name: value.double() for name, value in net.state_dict().items()}
    return net, state | {"losses": torch.tensor(losses, dtype=torch.float64), "right": torch.tensor(right)}


def assert_as_good_as_torch(case: Case, library: ctypes.CDLL, steps: int) -> None:
    """What training changed must be as near to double precision as torch in single precision is."""
    network = case.lanes(library, SEEDS)
    losses, right = network.train(case.source(SEEDS), case.rows(steps, SEEDS), case.lrs(steps, SEEDS))
    states = read_of_seeds(case, network, SEEDS)
    for trial, seed in enumerate(SEEDS):
        start = {name: value.double() for name, value in case.net(seed).state_dict().items()}
        net, exact = in_torch(case, seed, steps, torch.float64)
        _, single = in_torch(case, seed, steps, torch.float32)
        assert right[-1, trial] == exact["right"]
        torch.testing.assert_close(losses[:, trial], exact["losses"], rtol=1e-4, atol=1e-6)
        wrong = moved = of_torch = 0.0
        for name, _, _ in names(network):
            by = (exact[name] - start[name]).norm().item()
            error, other = ((state[name] - exact[name]).norm().item() for state in (states[trial], single))
            # A bias that a norm cancels has a gradient of rounding alone, so all of a kind are judged together.
            assert error <= _MARGIN * other + _OF_ONE * by + 1e-5, name
            wrong, moved, of_torch = wrong + error**2, moved + by**2, of_torch + other**2
        assert wrong**0.5 <= _MARGIN * of_torch**0.5 + _LEAST * moved**0.5
        assert_evaluates_as_torch(case, network, net, trial, seed)


def assert_evaluates_as_torch(case: Case, network, net: nn.Module, trial: int, seed: int) -> None:
    rows = torch.arange(70).expand(len(SEEDS), 70)
    given = copy.deepcopy(net).eval()
    for index, layer in enumerate(network.layers):
        if layer.norm_path and layer.running:
            norm = dict(given.named_modules())[layer.norm_path]
            spread = getattr(norm, attribute(layer, Array.running_var))
            setattr(norm, attribute(layer, Array.running_var), spread * 1.5)
            norm.running_mean = norm.running_mean + 0.1
            for array, values in zip((Array.given_mean, Array.given_var), norm.evaluation_statistics(), strict=True):
                network.write(index, array, values.float().expand(len(SEEDS), -1))
    judges = {Normalizer.running: net.eval(), Normalizer.given: given, Normalizer.batch: copy.deepcopy(net)}
    for norm in judges[Normalizer.batch].modules():
        if isinstance(norm, BatchNorm):
            norm.statistics = Statistics.batch
    for normalizer, judge in judges.items():
        losses, right = network.evaluate(case.source(SEEDS), rows, normalizer)
        logits = judge(case.scaled(rows[trial], seed, torch.float64))
        labels = case.images[1][rows[trial]]
        assert losses[trial].item() == pytest.approx(
            loss_of(case.loss, logits, labels, "sum").item(), rel=_OF_EVALUATION
        )
        assert abs(right[trial] - (logits.argmax(1) == labels).sum()) <= 1


@pytest.mark.parametrize("batch_size", [3, 64, 150])
@pytest.mark.parametrize("norm", NORMS)
def test_one_step_of_linear_layers(norm, batch_size, best) -> None:
    assert_as_good_as_torch(Case(FC, NORMS[norm], (3, 7, 5), batch_size), best, 1)


@pytest.mark.parametrize("padding", Padding)
@pytest.mark.parametrize(
    ("shape", "batch_size"), [((1, 28, 28), 2), ((1, 32, 32), 13), ((3, 13, 11), 37), ((1, 8, 8), 17)]
)
@pytest.mark.parametrize("norm", NORMS)
def test_one_step_of_conv_layers(norm, shape, batch_size, padding, best) -> None:
    assert_as_good_as_torch(Case(replace(CNN, padding=padding), NORMS[norm], shape, batch_size), best, 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", Activation)
def test_one_step_of_every_activation(activation, norm, best) -> None:
    for model, shape in ((FC, (1, 7, 5)), (CNN, (1, 14, 14))):
        assert_as_good_as_torch(Case(replace(model, activation=activation.name), NORMS[norm], shape, 9), best, 1)


@pytest.mark.parametrize("batch_size", [5, 70])
@pytest.mark.parametrize("norm", NORMS)
def test_one_step_of_linear_layers_of_many_features(norm, batch_size, best) -> None:
    model = replace(FC, widths=[70, 130, 66], activation="tanh")
    assert_as_good_as_torch(Case(model, NORMS[norm], (1, 7, 5), batch_size), best, 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("shape", "width"), [((1, 28, 28), 12), ((3, 17, 29), 5), ((3, 9, 9), 20)])
def test_one_step_of_conv_layers_of_many_channels(shape, width, norm, best) -> None:
    """So many that the weights of a row of taps, or of a tap, are a panel of their own."""
    model = replace(CNN, depth=3, width=width, activation="tanh")
    assert_as_good_as_torch(Case(model, NORMS[norm], shape, 3), best, 1)


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("shape", "padding"), [((1, 8, 8), "torch"), ((1, 8, 8), "same"), ((1, 7, 5), "torch"), ((3, 26, 4), "same")]
)
def test_steps_of_conv_layers_down_to_maps_of_one_pixel(shape, padding, norm, decay, best) -> None:
    """The last are trained as linear layers, but with weight decay, which also moves the taps that meet no pixel."""
    model = replace(CNN, depth=8, stride_every=2, padding=padding, activation="tanh")
    settings = Settings(weight_decay=decay, momentum=0.5)
    for hidden in (0, 10):
        case = Case(
            replace(model, hidden=hidden), NORMS[norm], shape, 17, Rule.momentum, settings=lambda seed: settings
        )
        assert_as_good_as_torch(case, best, 3)


@pytest.mark.parametrize("bias", ["always", "never"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_steps_with_and_without_biases_and_affines(norm, affine, bias, best) -> None:
    for model, shape in ((FC, (1, 7, 5)), (replace(CNN, depth=4, stride_every=2), (1, 14, 14))):
        case = Case(replace(model, bias=bias, activation="tanh"), replace(NORMS[norm], affine=affine), shape, 9)
        assert_as_good_as_torch(case, best, 3)


@pytest.mark.parametrize("placement", Placement)
@pytest.mark.parametrize("norm", OTHERS)
def test_steps_of_every_norm_in_linear_layers(norm, placement, best) -> None:
    if norm == "instance":
        pytest.skip("it is undefined on features")
    for activation, batch_size in (("gelu", 20), ("tanh", 150), ("silu", 1)):
        if batch_size > 1 or not OTHERS[norm].name.endswith("batch"):
            model = replace(FC, widths=[18, 9], activation=activation)
            # Among parts of 3 examples one has so little variance in some channel that rounding shows.
            of = replace(OTHERS[norm], placement=placement, ghost_size=max(1, batch_size // 2))
            case = Case(model, of, (3, 7, 5), batch_size)
            assert_as_good_as_torch(case, best, 3)


@pytest.mark.parametrize("placement", Placement)
@pytest.mark.parametrize("norm", OTHERS)
def test_steps_of_every_norm_in_conv_layers(norm, placement, best) -> None:
    """The maps are wide, narrow, and odd; parts of 3 examples end within the groups of images that are passed."""
    sizes = (((1, 28, 28), 6, "tanh"), ((3, 13, 11), 36, "silu"), ((1, 9, 8), 15, "gelu"))
    for shape, batch_size, activation in sizes:
        model = replace(CNN, hidden=0, min_map=2, activation=activation)
        case = Case(model, replace(OTHERS[norm], placement=placement), shape, batch_size)
        assert_as_good_as_torch(case, best, 2)


@pytest.mark.parametrize("placement", Placement)
@pytest.mark.parametrize("norm", OTHERS)
def test_ten_steps_of_every_norm(norm, placement, best) -> None:
    model = replace(CNN, depth=4, stride_every=2, hidden=0, activation="tanh")
    settings = Settings(
        0.6, 0.9, 0.99, 1e-3
    )  # with less Adam's eps, a weight of almost no gradient moves by its rounding
    for rule, lr, affine, bias in (
        (Rule.sgd, 0.05, True, "always"),
        (Rule.nesterov, 0.05, False, "never"),
        (Rule.adam, 0.01, True, "auto"),
    ):
        of = replace(OTHERS[norm], placement=placement, affine=affine)
        case = Case(replace(model, bias=bias), of, (1, 14, 14), 6, rule, lr=lr, settings=lambda seed: settings)
        assert_as_good_as_torch(case, best, 10)


@pytest.mark.parametrize("norm", ["none", "before", "after", "group", "filter"])
@pytest.mark.parametrize(("shape", "batch_size"), [((1, 28, 28), 5), ((3, 13, 11), 9), ((1, 8, 8), 70)])
def test_one_step_of_standardized_weights(shape, batch_size, norm, best) -> None:
    """Few layers and one step: without a norm after each layer outputs grow so much that training is chaotic."""
    of = replace((NORMS | OTHERS)[norm], weight_standardization=True)
    for model in (replace(FC, widths=[18, 9]), replace(CNN, depth=4, stride_every=1, hidden=9, activation="tanh")):
        assert_as_good_as_torch(Case(model, of, shape, batch_size, lr=0.005), best, 1)


@pytest.mark.parametrize("rule", Rule)
def test_ten_steps_of_standardized_weights(rule, best) -> None:
    settings = Settings(0.6, 0.9, 0.99, 1e-3, weight_decay=0.01)
    norm = replace(OTHERS["group"], weight_standardization=True)
    for model in (replace(FC, widths=[18, 9]), replace(CNN, depth=4, stride_every=2, hidden=9)):
        case = Case(
            replace(model, activation="tanh"), norm, (1, 8, 8), 9, rule, lr=0.01, settings=lambda seed: settings
        )
        assert_as_good_as_torch(case, best, 10)


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
@pytest.mark.parametrize("model", ["fc", "cnn"])
@pytest.mark.parametrize("norm", NORMS)
def test_channels_that_only_fill_a_vector_stay_out_of_activations_that_are_not_zero_at_zero(
    norm, model, activation, best
) -> None:
    """Adam would take full steps along the least gradient. 9, 3 and 6 channels are no multiple of four."""
    of, shape = (FC, (1, 7, 5)) if model == "fc" else (replace(CNN, depth=3, stride_every=1), (1, 14, 14))
    case = Case(replace(of, activation=activation), NORMS[norm], shape, 20, Rule.adam, lr=0.01)
    assert_as_good_as_torch(case, best, 20)


@pytest.mark.parametrize("classes", [2, 4, 13])
@pytest.mark.parametrize("loss", Loss)
def test_steps_with_other_numbers_of_classes(loss, classes, best, monkeypatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "CLASSES", classes)
    case = Case(replace(FC, activation="tanh"), NORMS["before"], (1, 7, 5), 9, loss=loss)
    assert_as_good_as_torch(case, best, 3)


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("rule", Rule)
def test_ten_steps_of_every_optimizer(rule, decay, loss, best) -> None:
    def settings(seed: int) -> Settings:
        return Settings(0.5 + seed / 20, 0.9 - seed / 40, 0.99, 1e-5, decay, 0.1 + seed / 40)

    lr = 0.01 if rule >= Rule.adam else 0.05
    smooth = replace(FC, activation="tanh")  # without kinks, at which two roundings would part
    assert_as_good_as_torch(Case(smooth, NORMS["before"], (1, 7, 5), 20, rule, loss, settings, lr), best, 10)
    conv = replace(CNN, activation="tanh", depth=4)
    assert_as_good_as_torch(Case(conv, NORMS["after"], (1, 8, 8), 6, rule, loss, settings, lr), best, 10)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5])
def test_steps_of_very_few_examples(batch_size, best) -> None:
    assert_as_good_as_torch(Case(replace(FC, activation="tanh"), NORMS["none"], (1, 7, 5), batch_size), best, 6)


@pytest.mark.parametrize("hidden", [0, 10])
@pytest.mark.parametrize("running_var", ["biased", "unbiased", "fused"])
def test_running_statistics(running_var, hidden, best) -> None:
    norm = NormConfig(name="batch", running_var=running_var)
    for cumulative in (False, True):
        model = replace(CNN, hidden=hidden, activation="tanh")
        assert_as_good_as_torch(Case(model, norm, (1, 8, 8), 6, cumulative=cumulative), best, 4)


def test_logistic_regression(best) -> None:
    assert_as_good_as_torch(Case(replace(FC, widths=[]), NORMS["none"], (3, 7, 5), 20), best, 5)


def test_of_one_value_a_channel_the_norm_gives_beta_and_no_gradient(best) -> None:
    case = Case(replace(FC, widths=[6]), NORMS["before"], (1, 7, 5), 1)
    network = case.lanes(best, SEEDS)
    before = read(network, case.net(0).state_dict())
    losses, _ = network.train(case.source(SEEDS), case.rows(1, SEEDS), case.lrs(1, SEEDS))
    after = read(network, case.net(0).state_dict())
    for trial in range(len(SEEDS)):
        state = before[trial]
        logits = F.linear(F.relu(state["blocks.0.norm.bias"]), state["head.weight"], state["head.bias"])
        label = case.images[1][case.rows(1, SEEDS)[0, trial, 0]]
        assert losses[0, trial].item() == pytest.approx(F.cross_entropy(logits, label).item(), rel=1e-6)
        for name in ("blocks.0.layer.weight", "blocks.0.norm.weight", "blocks.0.norm.running_var"):
            assert torch.equal(after[trial][name], state[name]), name


@pytest.mark.parametrize("norm", ["before", "after"])
@pytest.mark.parametrize(
    ("model", "running_var"),
    [*itertools.product(["fc", "cnn"], ["biased", "unbiased", "fused"])],
)
def test_steps_on_one_value_a_channel(model, norm, running_var, best) -> None:
    """The last conv layer's maps have one pixel, those before it more."""
    of, shape = (FC, (1, 7, 5)) if model == "fc" else (replace(CNN, depth=3, stride_every=1), (1, 8, 8))
    constant = replace(NORMS[norm], running_var=running_var, single_value="constant")
    network = replace(of, activation="tanh")
    case = Case(network, constant, shape, 1)
    lanes = case.lanes(best, SEEDS)
    lanes.train(case.source(SEEDS), case.rows(4, SEEDS), case.lrs(4, SEEDS))
    for trial, seed in enumerate(SEEDS):
        _, exact = in_torch(case, seed, 4, torch.float64)
        state = read_of_seeds(case, lanes, SEEDS)[trial]
        for name in state:
            torch.testing.assert_close(state[name].double(), exact[name], rtol=1e-4, atol=2e-5, msg=name)


def test_of_several_largest_logits_the_first_is_the_answer(best) -> None:
    case = Case(replace(FC, widths=[]), NORMS["none"], (1, 4, 4), 10)
    biases = torch.tensor(
        [
            [-1.0, 0, 2, 0, 0, 0, 0, 2, 0, 2],
            [-0.0, 0, 0, -1, 0, 0, 0, 0, 0, 0],
            [-3, -3, -3, -3, -2, -2, -3, -3, -3, -2],
        ]
    )
    network = case.lanes(best, SEEDS)
    network.write(0, Array.weight, torch.zeros(3, 10, 16))
    network.write(0, Array.bias, biases)
    _, right = network.evaluate(case.source(SEEDS), torch.arange(200).expand(3, 200), Normalizer.running)
    for trial, answer in enumerate(biases.argmax(1)):
        assert right[trial] == (case.images[1] == answer).sum()


def test_a_tie_is_right_if_the_first_of_the_largest_is_the_label(best) -> None:
    case = Case(replace(FC, widths=[]), NORMS["none"], (1, 4, 4), 10)
    network = case.lanes(best, [0])
    for name, layer, array in names(network):
        network.write(layer, array, torch.zeros(1, *case.net(0).state_dict()[name].shape))
    rows = torch.arange(200).unsqueeze(0)
    _, right = network.evaluate(case.source([0]), rows, Normalizer.running)
    assert right[0] == (case.images[1] == 0).sum()


def test_what_does_not_fit_is_refused(best) -> None:
    case = Case(FC, NORMS["none"], (1, 4, 4), 5)
    network = case.lanes(best, SEEDS)
    rows = case.rows(2, SEEDS)
    with pytest.raises(ValueError, match=r"rows 0 to 200 are not all among 200"):
        network.train(
            case.source(SEEDS), torch.full_like(rows, 200).index_fill(0, torch.tensor([0]), 0), case.lrs(2, SEEDS)
        )
    with pytest.raises(ValueError, match="shape"):
        network.train(case.source(SEEDS), rows[:, :2], case.lrs(2, SEEDS))
    with pytest.raises(ValueError, match="1 to 16"):
        case.lanes(best, [*range(17)])


# ---- bits ----

_STEPS = 5
_ALL = [*range(16)]

# What came out where these were first trained; a change of it is another numerics version.
GOLDEN = {"fc": "c6714f32a598169d", "cnn": "25fa750353d6c8a0"}


def results(case: Case, network: LaneNetwork, seeds: list[int], steps: int = _STEPS) -> list[dict[str, Tensor]]:
    """By trial: the state and the optimizer's after training, the losses, and an evaluation."""
    losses, right = network.train(case.source(seeds), case.rows(steps, seeds), case.lrs(steps, seeds))
    rows = torch.arange(130).expand(len(seeds), 130)
    evaluated = [torch.stack(network.evaluate(case.source(seeds), rows, normalizer)) for normalizer in Normalizer]
    states = read(network, case.net(0).state_dict(), network.rule.moments)
    for trial, state in enumerate(states):
        state |= {"losses": losses[:, trial], "right": right[:, trial]}
        state |= {f"evaluated.{i}": values[:, trial] for i, values in enumerate(evaluated)}
    return states


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


CASES = {
    "fc-none-sgd-1": Case(FC, NORMS["none"], (1, 7, 5), 1),
    "fc-none-sgd": Case(FC, NORMS["none"], (3, 7, 5), 5),
    "fc-before-adam": Case(FC, NORMS["before"], (1, 7, 5), 70, Rule.adam, lr=0.01),
    "fc-after-sigmoid-loss": Case(
        replace(FC, activation="gelu"), NORMS["after"], (1, 7, 5), 9, Rule.nesterov, Loss.sigmoid
    ),
    "cnn-before-adamw": Case(CNN, NORMS["before"], (1, 28, 28), 5, Rule.adamw, lr=0.01),
    "cnn-after-sgd": Case(CNN, NORMS["after"], (3, 13, 11), 6),
    "fc-before-sgd-3": Case(FC, NORMS["before"], (1, 7, 5), 3),  # few enough for a step that is owed
    "fc-after-softplus": Case(replace(FC, activation="softplus"), NORMS["after"], (1, 7, 5), 9, Rule.adam, lr=0.01),
    "fc-many-features": Case(replace(FC, widths=[70, 130]), NORMS["before"], (3, 7, 5), 70, Rule.momentum),
    "cnn-many-channels": Case(replace(CNN, depth=3, width=12), NORMS["after"], (1, 28, 28), 2, Rule.adam, lr=0.01),
    "cnn-to-one-pixel": Case(replace(CNN, stride_every=2, padding="same"), NORMS["before"], (1, 8, 8), 17, Rule.adam),
    "cnn-to-one-pixel-decay": Case(
        replace(CNN, stride_every=2, hidden=0),
        NORMS["after"],
        (1, 7, 5),
        9,
        Rule.momentum,
        settings=lambda seed: Settings(0.9, weight_decay=0.05),
    ),
    "fc-layer-adam": Case(FC, OTHERS["layer"], (1, 7, 5), 70, Rule.adam, lr=0.01),
    "fc-group-sgd-3": Case(replace(FC, widths=[18, 9]), replace(OTHERS["group"], placement="after"), (1, 7, 5), 3),
    "cnn-group-adamw": Case(replace(CNN, hidden=9), OTHERS["group"], (1, 16, 16), 5, Rule.adamw, lr=0.01),
    "cnn-instance": Case(
        replace(CNN, hidden=0, min_map=2), replace(OTHERS["instance"], placement="after"), (1, 16, 16), 9
    ),
    "cnn-rms": Case(CNN, replace(OTHERS["rms"], placement="after"), (3, 13, 11), 6, Rule.nesterov),
    "cnn-ghost": Case(CNN, OTHERS["ghost"], (3, 13, 11), 15, Rule.adam, lr=0.01),
    "cnn-renorm": Case(CNN, OTHERS["renorm"], (1, 16, 16), 9, Rule.adam, lr=0.01),
    "fc-frozen": Case(FC, OTHERS["frozen"], (1, 7, 5), 9, Rule.adam, lr=0.01),
    "cnn-filter": Case(replace(CNN, hidden=0, min_map=2), OTHERS["filter"], (1, 16, 16), 5, Rule.adam, lr=0.01),
    "fc-filter-after": Case(FC, replace(OTHERS["filter"], placement="after"), (1, 7, 5), 2),
    "fc-standardized": Case(FC, replace(NORMS["before"], weight_standardization=True), (1, 7, 5), 3),
    "cnn-standardized": Case(
        replace(CNN, hidden=9), replace(OTHERS["group"], weight_standardization=True), (1, 13, 13), 9, Rule.momentum
    ),
    "cnn-none-momentum": Case(replace(CNN, activation="silu"), NORMS["none"], (1, 16, 16), 9, Rule.momentum),
}
_EVERY_CASE = pytest.mark.parametrize("name", CASES)


@_EVERY_CASE
def test_a_trial_has_the_same_bits_alone_and_in_any_lane(name, best) -> None:
    case = CASES[name]
    together = results(case, case.lanes(best, _ALL), _ALL)
    assert len({str(state["losses"]) for state in together}) == 16, "no two trials are alike"
    for seeds in (_ALL[::-1], [5, 11, 2], [9], [*range(3, 16, 2)]):
        found = results(case, case.lanes(best, seeds), seeds)
        assert all(same(state, together[seed]) for seed, state in zip(seeds, found, strict=True)), seeds


@_EVERY_CASE
@pytest.mark.parametrize("bad", [float("nan"), 1e30])
def test_diverged_neighbours_change_no_bit(name, bad, best) -> None:
    case = CASES[name]
    healthy, beside = case.lanes(best, _ALL), case.lanes(best, _ALL)
    states = read(beside, case.net(0).state_dict())
    sick = [{key: torch.full_like(value, bad) for key, value in state.items()} for state in states]
    write(beside, [sick[seed] if seed % 2 else states[seed] for seed in _ALL])
    expected, found = (results(case, network, _ALL) for network in (healthy, beside))
    assert all(same(expected[seed], found[seed]) for seed in _ALL[::2])


@_EVERY_CASE
def test_steps_in_one_call_are_steps_in_several(name, best) -> None:
    case = CASES[name]
    whole, parts, resumed = (case.lanes(best, _ALL) for _ in range(3))
    expected = results(case, whole, _ALL)
    rows, lrs, source = case.rows(_STEPS, _ALL), case.lrs(_STEPS, _ALL), case.source(_ALL)
    for part in (slice(0, 1), slice(1, 3)):
        parts.train(source, rows[part], lrs[part])
    kept = read(parts, case.net(0).state_dict(), parts.rule.moments)
    write_all(resumed, kept)
    resumed.set_taken(3)
    for network in (parts, resumed):
        network.train(source, rows[3:], lrs[3:])
        found = read(network, case.net(0).state_dict(), network.rule.moments)
        assert all(
            torch.equal(state[key], other[key]) for state, other in zip(found, expected, strict=True) for key in state
        )


def write_all(network: LaneNetwork, states: list[dict[str, Tensor]]) -> None:
    """Write parameters, statistics and what the optimizer keeps."""
    for name, layer, array in names(network):
        for key, moment in ((name, 0), (f"{name}.1", 1), (f"{name}.2", 2)):
            if key in states[0]:
                network.write(layer, array, torch.stack([state[key] for state in states]), moment)


@_EVERY_CASE
def test_an_evaluation_does_not_depend_on_how_many_images_a_call_has(name, best) -> None:
    case = CASES[name]
    network = case.lanes(best, [4])
    source, rows = case.source([4]), torch.arange(150).unsqueeze(0)
    parts = torch.stack(
        [
            torch.stack(network.evaluate(source, part, Normalizer.running))
            for part in rows.split([1, 1, 1, 5, 64, 78], 1)
        ]
    )
    whole = torch.stack(network.evaluate(source, rows, Normalizer.running))
    torch.testing.assert_close(parts.sum(0), whole, rtol=1e-12, atol=0)


@_EVERY_CASE
@pytest.mark.parametrize("instruction_set", ["avx2", "neon"])
def test_other_instruction_sets_have_the_bits_of_the_best(name, instruction_set, best, library) -> None:
    case = CASES[name]
    for seeds in (_ALL, [3, 8]):
        pairs = [results(case, case.lanes(of, seeds), seeds) for of in (best, library(instruction_set))]
        assert all(map(same, *pairs))


@pytest.mark.parametrize("activation", Activation)
def test_every_activation_has_the_same_bits_with_avx2(activation, best, library) -> None:
    for model, shape, norm in ((FC, (1, 7, 5), "after"), (CNN, (1, 14, 14), "before"), (CNN, (1, 8, 8), "after")):
        case = Case(replace(model, activation=activation.name), NORMS[norm], shape, 5, Rule.adam, lr=0.01)
        pairs = [results(case, case.lanes(of, [0, 9]), [0, 9]) for of in (best, library("avx2"))]
        assert all(map(same, *pairs))


def golden(kind: str) -> tuple[Case, int]:
    """A whole small training whose inputs come from whole numbers, and how many steps it has."""
    if kind == "fc":
        model = ModelConfig(name="fc", widths=[20, 9], activation="gelu")
        return Case(model, NORMS["after"], (1, 7, 5), 20, Rule.adam, lr=0.01), 30
    model = ModelConfig(name="cnn", depth=8, width=4, hidden=12)
    return Case(model, NORMS["before"], (1, 28, 28), 6, Rule.momentum), 12


@pytest.mark.parametrize("instruction_set", ["avx512", "avx2", "neon"])
@pytest.mark.parametrize("kind", GOLDEN)
def test_whole_trainings_have_the_bits_that_they_had(kind, instruction_set, library) -> None:
    case, steps = golden(kind)
    digest = hashlib.sha256()
    for state in results(case, case.lanes(library(instruction_set), [0, 5, 10]), [0, 5, 10], steps):
        for name in sorted(state):
            digest.update(name.encode() + state[name].contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[kind]
