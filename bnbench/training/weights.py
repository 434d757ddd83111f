"""A trained network as a file: its weights and statistics, how its images are scaled, and what builds it again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from bnbench.config import Config, DataConfig, Statistics, SweepConfig, TrackingConfig, Trial, schema
from bnbench.data import ImageData, scaling, split_data
from bnbench.models import build_model
from bnbench.norms.statistics_norm import StatisticsNorm
from bnbench.packing import attributes
from bnbench.packing.pack import Pack


class TrainedNetwork(nn.Module):
    """One trial's network behind the scaling of its images; it evaluates, with the statistics of `norm.inference`.

    Args:
        trial: The trial whose configuration builds the network.
        shape: (C, H, W) of an image.
        classes: Number of classes.

    Shape:
        Images (N, C, H, W), bytes as the data set has them; logits (N, classes) out.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, trial: Trial, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.net = build_model(trial, shape, classes)
        self.shape = shape
        self.classes = classes
        self.binary = trial.data.scaling == "binary"
        dtype = getattr(torch, trial.training.precision)
        self.register_buffer("scale", torch.ones(shape[0], 1, 1, dtype=dtype))
        self.register_buffer("shift", torch.zeros(shape[0], 1, 1, dtype=dtype))
        for norm in self.net.modules():
            if isinstance(norm, StatisticsNorm) and not norm.frozen:
                norm.statistics = Statistics(trial.norm.inference)
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        if self.binary:
            images = torch.where(images >= 128, 255, 0)
        logits: Tensor = self.net(images.to(self.scale.dtype) * self.scale + self.shift)
        return logits


def save_network(path: Path, pack: Pack, config: Config, data: ImageData) -> None:
    """Write the network in a pack's first slot.

    Args:
        path: The file.
        pack: After `fit`, with the training images' statistics where `norm.inference` asks for them.
        config: The trial's. Where it was tracked and where its images lay are left out.
        data: The images it was trained on.
    """
    plain_config = replace(config, data=replace(config.data, root=DataConfig.root), sweep=SweepConfig(), pack=None)
    plain_config = replace(plain_config, tracking=TrackingConfig(), runs_dir=Config.runs_dir)
    split = split_data(data, kind=config.data.split, seed=config.seed, train_examples=config.data.train_examples)
    scale, shift = (torch.from_numpy(values).view(-1, 1, 1) for values in scaling(data, split, config.data.scaling))
    # Statistics that no state_dict has, such as PreciseBN's, are needed to evaluate the network.
    state = {name: value[0] for name, value in pack.net.named_buffers()} | pack.slot_state(0)
    torch.save(
        {
            "config": OmegaConf.to_yaml(OmegaConf.structured(plain_config)),
            "shape": [*data.shape],
            "classes": data.classes,
            "train_size": len(split.train),
            "scale": scale,
            "shift": shift,
            "state": {name: value.detach().cpu().clone() for name, value in state.items()},
            "attributes": pack.attributes(),
        },
        path,
    )


def load_network(path: Path) -> TrainedNetwork:
    """The network that `save_network` wrote; nothing in the file is executed."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    node = OmegaConf.merge(schema(), OmegaConf.create(saved["config"]))
    assert isinstance(node, DictConfig)
    config = OmegaConf.to_object(node)
    assert isinstance(config, Config)
    trial = Trial.from_config(config, train_size=saved["train_size"], data_checksum="")
    C, H, W = saved["shape"]
    network = TrainedNetwork(trial, (C, H, W), saved["classes"])
    tensors = dict([*network.net.named_parameters(), *network.net.named_buffers()])
    with torch.no_grad():
        for name, value in saved["state"].items():
            tensors[name].copy_(value)
        network.scale.copy_(saved["scale"])
        network.shift.copy_(saved["shift"])
    attributes.restore(network.net, saved.get("attributes", {}))  # files of older versions have none
    return network
