"""Packed training, judged by a plain torch.nn loop, in double precision, one step at a time.

Training is chaotic: rounding alone drives two trajectories apart. So before each of 100 steps the plain
network and its optimizer take over the slot's state, and only what that one step made of it is compared.
Learning rates are mild, for where a deep batch-normalized network is driven to saturation even one step
multiplies the rounding of its input a million times.
"""

import math
from collections import OrderedDict

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from bnbench.models import build_model
from bnbench.packing.pack import pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.training.data_module import PackDataModule
from bnbench.training.module import PackModule

STEPS = 100
K = 3
RELATIVE = 1e-10  # of a tensor's norm; double precision keeps about 1e-14 through one step of seven layers
ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "tanh": nn.Tanh}

SMALL = {
    "fc": ("model.name=fc", "model.depth=3", "model.width=11", "training.batch_size=7"),
    # 8x8 images: strides at layers 2, 4 and 6 leave 1x1 for the last two.
    "cnn": (
        "model.name=cnn",
        "model.depth=7",
        "model.width=2",
        "model.stride_every=2",
        "model.hidden=9",
        "training.batch_size=12",
    ),
}
CASES = [
    ("fc", "none", "before", "relu", "sgd", "softmax"),
    ("fc", "batch", "before", "sigmoid", "nesterov", "softmax"),
    ("fc", "batch", "after", "gelu", "adam", "sigmoid"),
    ("cnn", "none", "before", "gelu", "adamw", "softmax"),
    ("cnn", "batch", "before", "relu", "adam", "sigmoid"),
    ("cnn", "batch", "after", "tanh", "momentum", "softmax"),
]


def plain_net(model: str, norm: str, placement: str, activation: str) -> nn.Sequential:
    """The network written out again; a layer is called after its place in bnbench's."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def block(name: str, layer: nn.Module, normalization: nn.Module) -> None:
        layers[f"{name}_layer"] = layer
        if norm == "batch" and placement == "before":
            layers[f"{name}_norm"] = normalization
        layers[f"{name}_activation"] = ACTIVATIONS[activation]()
        if norm == "batch" and placement == "after":
            layers[f"{name}_norm"] = normalization

    bias = not (norm == "batch" and placement == "before")
    if model == "fc":
        layers["flatten"] = nn.Flatten()
        for i, (wide, narrow) in enumerate([(64, 11), (11, 11), (11, 11)]):
            block(f"blocks_{i}", nn.Linear(wide, narrow, bias=bias), nn.BatchNorm1d(narrow))
        layers["head"] = nn.Linear(11, 10)
    else:
        channels, strides = [1, 2, 4, 6, 8, 10, 12, 14], [1, 2, 1, 2, 1, 2, 1]
        for i, stride in enumerate(strides):
            conv = nn.Conv2d(channels[i], channels[i + 1], 3, stride=stride, padding=1, bias=bias)
            block(f"blocks_{i}", conv, nn.BatchNorm2d(channels[i + 1]))
        layers["flatten"] = nn.Flatten()
        block("hidden", nn.Linear(14, 9, bias=bias), nn.BatchNorm1d(9))
        layers["head"] = nn.Linear(9, 10)
    return nn.Sequential(layers).double()


def plain_name(name: str) -> str:
    """blocks.0.layer.weight -> blocks_0_layer.weight"""
    *path, leaf = name.split(".")
    return "_".join(path) + "." + leaf


def plain_optimizer(kind: str, params: list[nn.Parameter], trial, lr: float) -> torch.optim.Optimizer:
    o = trial.optimizer
    match kind:
        case "sgd":
            return torch.optim.SGD(params, lr=lr, weight_decay=o.weight_decay)
        case "momentum" | "nesterov":
            return torch.optim.SGD(
                params, lr=lr, momentum=o.momentum, nesterov=kind == "nesterov", weight_decay=o.weight_decay
            )
        case "adam":
            return torch.optim.Adam(params, lr=lr, betas=(o.beta1, o.beta2), eps=1e-8, weight_decay=o.weight_decay)
        case _:
            return torch.optim.AdamW(params, lr=lr, betas=(o.beta1, o.beta2), eps=1e-8, weight_decay=o.weight_decay)


def plain_lr(slot: int, lr: float, step: int) -> float:
    """Slot 0 is constant, slot 1 follows a cosine down to a tenth, slot 2 warms up over 30 steps."""
    factors = [1.0, 0.1 + 0.45 * (1 + math.cos(math.pi * step / STEPS)), min(1.0, (step + 1) / 30)]
    return lr * factors[slot]


def plain_loss(logits: torch.Tensor, labels: torch.Tensor, loss: str) -> torch.Tensor:
    if loss == "softmax":
        return nn.functional.cross_entropy(logits, labels)
    hot = nn.functional.one_hot(labels, 10).double()
    return nn.functional.binary_cross_entropy_with_logits(logits, hot)


class StepByStep(pl.Callback):
    """Repeats every step of every slot in plain torch, from the slot's state, and compares."""

    def __init__(self, data, trials, case) -> None:
        self.model, self.norm, self.placement, self.activation, self.optimizer, self.loss = case
        self.images = torch.from_numpy(data.images).double() * torch.tensor(1 / 255, dtype=torch.float32).double()
        self.labels = torch.from_numpy(data.labels)
        self.trials = trials
        self.net = plain_net(self.model, self.norm, self.placement, self.activation)
        self.steps: list[int] = []
        self.moved = torch.zeros(K)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        assert len(batch.rows) == 1, "one step a block"
        pl_module.reset_training_metrics()
        update = pl_module.optimizers().optimizer
        self.state = [{n: v.clone() for n, v in pl_module.pack.slot_state(k).items()} for k in range(K)]
        self.memory = [
            {
                plain_name(name): {key: value[k].clone() for key, value in update.state[p].items()}
                for name, p in pl_module.pack.net.named_parameters()
            }
            for k in range(K)
        ]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.steps.append(batch.start)
        update = pl_module.optimizers().optimizer
        remembered = dict(pl_module.pack.net.named_parameters())
        for k, trial in enumerate(self.trials):
            loss, memory = self.step(k, trial, batch.start, batch.rows[0, k])
            assert pl_module.train_loss()[k] == pytest.approx(loss, rel=RELATIVE)
            after = self.net.state_dict()
            for name, value in pl_module.pack.slot_state(k).items():
                self.compare(value, after[plain_name(name)], f"{name}, slot {k}, step {batch.start}")
            for name, p in remembered.items():
                for key, value in update.state[p].items():
                    self.compare(value[k], memory[plain_name(name)][key], f"{key} of {name}, step {batch.start}")
            head = pl_module.pack.slot_state(k)["head.weight"]
            self.moved[k] += (head - self.state[k]["head.weight"]).norm()

    def step(self, slot: int, trial, step: int, rows: torch.Tensor) -> tuple[float, dict]:
        """One step of plain torch from the slot's state before it."""
        state = {plain_name(name): value for name, value in self.state[slot].items()}
        missing, unexpected = self.net.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(name.endswith("num_batches_tracked") for name in missing)
        self.net.train()
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = trial.norm.momentum
        params = dict(self.net.named_parameters())
        optimizer = plain_optimizer(self.optimizer, list(params.values()), trial, plain_lr(slot, trial.lr, step))
        for name, p in params.items():
            if self.memory[slot][name]:
                optimizer.state[p] = {**self.memory[slot][name], "step": torch.tensor(float(step))}
        optimizer.zero_grad()
        loss = plain_loss(self.net(self.images[rows]), self.labels[rows], self.loss)
        loss.backward()
        optimizer.step()
        return loss.item(), {name: optimizer.state[p] for name, p in params.items()}

    @staticmethod
    def compare(actual: torch.Tensor, expected: torch.Tensor, what: str) -> None:
        difference, size = (actual - expected).norm().item(), expected.norm().item()
        assert difference <= RELATIVE * size, f"{what}: off by {difference} of {size}"


def trial_overrides(case: tuple[str, ...], slot: int) -> list[str]:
    """Whatever may differ within a pack differs; the trials of a pack decay their weights, or none of them does."""
    model, norm, placement, activation, optimizer, loss = case
    name = "momentum" if optimizer == "nesterov" else optimizer
    decay = [0.001, 0.01, 1e-4][slot] if placement == "before" else 0.0
    fast = 0.003 if name.startswith("adam") else 0.05
    schedules = [
        ["schedule.name=constant"],
        ["schedule.name=cosine", "schedule.final_factor=0.1"],
        ["schedule.name=warmup", "schedule.warmup_steps=30"],
    ]
    return [
        *SMALL[model],
        f"norm.name={norm}",
        f"norm.placement={placement}",
        f"model.activation={activation}",
        f"optimizer.name={name}",
        f"optimizer.nesterov={optimizer == 'nesterov'}",
        f"training.loss={loss}",
        "training.precision=float64",
        f"training.steps={STEPS}",
        "training.eval_grid=linear",
        "training.eval_every=1",  # so that every block is one step
        f"seed={slot}",
        f"optimizer.lr={fast * [1, 0.3, 2][slot]}",
        f"optimizer.weight_decay={decay}",
        f"optimizer.momentum={[0.9, 0.5, 0.8][slot]}",
        f"optimizer.beta1={[0.9, 0.5, 0.95][slot]}",
        f"optimizer.beta2={[0.999, 0.9, 0.99][slot]}",
        f"norm.momentum={[0.1, 0.5, 0.01][slot]}",
        f"model.init_gain={[1.0, 1.5, 0.7][slot]}",
        *schedules[slot],
    ]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_each_of_100_packed_steps_is_a_step_of_plain_torch(case, trial_of, images_of):
    data = images_of(1, 8, 8)
    trials = [trial_of(*trial_overrides(case, slot)) for slot in range(K)]
    packed = pack([build_model(trial, data.shape, data.classes) for trial in trials])
    packed_trials = PackedTrials(trials).padded(packed.slots)
    blocks = PackDataModule(data, packed_trials)
    judge = StepByStep(data, trials, case)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=STEPS,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[judge],
    )
    trainer.fit(PackModule(packed, blocks.images, packed_trials), datamodule=blocks)
    assert judge.steps == list(range(STEPS))
    assert judge.moved.min() > 0.03, "and the steps were real ones"


def test_the_plain_network_has_the_deep_one_s_stride_and_its_1x1_tail(trial_of):
    net = plain_net("cnn", "none", "before", "relu")
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    sides = []
    for layer in net:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            sides.append(x.shape[-1])
    assert sides == [8, 4, 4, 2, 2, 1, 1]
