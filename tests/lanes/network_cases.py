"""Networks that the kernels train, with their images, orders and weights, for the tests beside this file."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from bnbench.config import Loss, ModelConfig, NormConfig, Placement
from bnbench.lanes.layers import LaneLayer, draw_seeds, lane_layers
from bnbench.lanes.network import Array, LabelledImages, LaneNetwork, Rule, Settings
from bnbench.models import cnn, fc
from bnbench.models.dropout import Dropout
from bnbench.norms.online import OnlineNorm
from bnbench.packing.lane_pack import STATE_NAMES
from bnbench.tensors.drawing import Draws
from bnbench.tensors.seeding import derive


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
        cumulative: Whether running statistics are means over all steps.
        classes: How many classes the labels have.
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
    classes: int = 10

    def net(self, seed: int) -> nn.Module:
        """The network of a trial, in plain torch, with weights that no library's random numbers change."""
        network = fc.FC if self.model.name == "fc" else cnn.CNN
        net = network(self.model, self.norm.resolved(), self.shape, self.classes)
        for name, module in net.named_modules():
            if isinstance(module, Draws):
                module.by_counter = True
                module.reseed(derive(seed, name))
            if isinstance(module, OnlineNorm):  # it cuts some values, and its errors are in its state_dict
                module.clamp = 1.5
                module.register_buffer("error_along_y", module.error_along_y)
                module.register_buffer("error_along_one", module.error_along_one)
            if isinstance(module, Dropout):
                module.keep_probability.fill_(1 - self.settings(seed).dropout)
                module.scale.copy_(1 / module.keep_probability)
        with torch.no_grad():
            for number, (name, parameter) in enumerate(net.named_parameters()):
                drawn = fractions(parameter.shape, 1000 * seed + number)
                if "norm" in name or "logits" in name:
                    parameter.add_(drawn / 4)
                else:
                    fan_in = parameter[0].numel() if parameter.dim() > 1 else 16
                    parameter.copy_(drawn * 1.5 / 2 ** round(torch.tensor(float(fan_in)).log2().item() / 2))
        return net

    @property
    def images(self) -> tuple[Tensor, Tensor]:
        """200 images and their labels."""
        pixels = integers(200 * self.shape[0] * self.shape[1] * self.shape[2], 256, 1).to(torch.uint8)
        return pixels.view(200, *self.shape), integers(200, self.classes, 2)

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
        layers = lane_layers(nets[0], self.shape, self.batch_size, decays=any(s.weight_decay for s in settings))
        network = LaneNetwork(
            library,
            layers,
            settings,
            draw_seeds(layers, nets),
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
    return "running_std" if layer.r_max and array == Array.running_var else STATE_NAMES[array]


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
    "noisy": NormConfig(name="noisy_batch"),
    "online": NormConfig(name="online", decay_forward=0.9, decay_backward=0.8),
}
LOGITS = {"plain": NormConfig(name="batch", logits="plain"), "affine": NormConfig(name="layer", logits="affine")}
FC = ModelConfig(name="fc", widths=[20, 9])
CNN = ModelConfig(name="cnn", depth=8, width=3, hidden=10)


def dropping(seed: int) -> Settings:
    """The numbers of trials that differ in their dropout."""
    return Settings(0.6, 0.9, 0.99, 1e-3, norm_momentum=0.1 + seed / 40, dropout=0.1 + seed / 20)


SEEDS = [0, 3, 7]
