"""Networks of lanes against plain torch in double precision.

What torch in single precision is off by is the measure: the kernels must be as good.
"""

from __future__ import annotations

import copy
import ctypes
import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from network_cases import (
    CNN,
    FC,
    NORMS,
    OTHERS,
    SEEDS,
    Case,
    attribute,
    dropping,
    names,
    read,
    read_of_seeds,
)
from torch import Tensor, nn

from bnbench.config import Loss, NormConfig, Padding, Placement, Statistics
from bnbench.lanes.layers import Activation
from bnbench.lanes.network import Array, Normalizer, Rule, Settings
from bnbench.norms.batch import BatchNorm

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
    hot = F.one_hot(labels, logits.shape[1]).to(logits)
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
        if layer.norm_path and layer.running and not layer.online:
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
# Not 2: of two values the norm of the hidden layer passes what is left when its gradient has cancelled but for eps, so
# that all layers before it are off by the rounding of a few numbers, more or less on another processor.
@pytest.mark.parametrize(
    ("shape", "batch_size"), [((1, 28, 28), 7), ((1, 32, 32), 13), ((3, 13, 11), 37), ((1, 8, 8), 17)]
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


@pytest.mark.parametrize("placement", Placement)
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "filter", "noisy"])
def test_steps_with_dropout(norm, placement, best) -> None:
    """Judge: torch with the masks of another implementation of the same draws. The trials differ in their dropout."""
    of = replace((NORMS | OTHERS | {"batch": NORMS["before"]})[norm], placement=placement)
    for activation, shape, batch_size, hidden in (("tanh", (1, 28, 28), 6, 0), ("softplus", (3, 13, 11), 36, 10)):
        model = replace(CNN, hidden=hidden, depth=4, activation=activation, dropout=0.5)
        assert_as_good_as_torch(Case(model, of, shape, batch_size, settings=dropping), best, 3)
    for activation, batch_size, rule in (
        ("gelu", 3, Rule.sgd),
        ("tanh", 150, Rule.adam),
        ("sigmoid", 20, Rule.nesterov),
    ):
        model = replace(FC, widths=[18, 9], activation=activation, dropout=0.5)
        assert_as_good_as_torch(Case(model, of, (3, 7, 5), batch_size, rule, settings=dropping, lr=0.01), best, 10)


@pytest.mark.parametrize("logits", ["plain", "affine"])
@pytest.mark.parametrize(
    "norm", ["before", "after", "layer", "group", "rms", "ghost", "renorm", "frozen", "filter", "noisy"]
)
def test_steps_of_every_norm_of_the_logits(norm, logits, best) -> None:
    """6 and 9 classes are no multiple of four. Without a large eps, 2 or 3 values of a group make training chaotic."""
    settings = Settings(0.6, 0.9, 0.99, 1e-3)
    for rule, classes, lr in ((Rule.sgd, 9, 0.05), (Rule.adam, 6, 0.01)):
        for model, shape in ((replace(FC, widths=[18, 9]), (1, 7, 5)), (replace(CNN, depth=3, hidden=9), (1, 9, 8))):
            case = Case(
                replace(model, activation="tanh"),
                replace((NORMS | OTHERS)[norm], logits=logits, eps=0.1),
                shape,
                12,
                rule,
                settings=lambda seed: settings,
                lr=lr,
                classes=classes,
            )
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
def test_steps_with_other_numbers_of_classes(loss, classes, best) -> None:
    case = Case(replace(FC, activation="tanh"), NORMS["before"], (1, 7, 5), 9, loss=loss, classes=classes)
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


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("norm", [NORMS["none"], OTHERS["layer"], replace(OTHERS["rms"], placement="after")])
def test_steps_of_very_few_examples(norm, batch_size, best) -> None:
    """What the first layer's weights make of the images is found for up to 16 examples together; then for others."""
    steps = 16 // batch_size + 2
    assert_as_good_as_torch(Case(replace(FC, activation="tanh"), norm, (1, 7, 5), batch_size), best, steps)


def test_steps_of_few_examples_without_biases_and_with_batch_norm(best) -> None:
    case = Case(replace(FC, activation="tanh", bias="never"), NORMS["before"], (2, 7, 5), 4, loss=Loss.sigmoid)
    assert_as_good_as_torch(case, best, 6)


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
