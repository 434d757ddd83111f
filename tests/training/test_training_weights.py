from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bnbench.config import Trial
from bnbench.data import ImageData, dataset_info, load_data, split_data
from bnbench.packing.pack import Pack
from bnbench.record.names import TEST_ACC
from bnbench.sweep.hydra_session import compose_one
from bnbench.training.fit import fit
from bnbench.training.weights import load_network, save_network

_SMALL = ("data=digits", "training.steps=80", "training.batch_size=32", "training.targets=[]", "optimizer.lr=0.1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return load_data("digits", root=None, cache_dir=tmp_path_factory.mktemp("cache"), download=False)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=fc", "norm=none"),
        ("model=fc", "norm=batch"),
        ("model=fc", "norm=batch", "norm.inference=precise"),
        ("model=fc", "norm=batch", "norm.inference=initial", "data.scaling=standard"),
        ("model=fc", "norm=frozen_batch", "data.scaling=binary"),
        ("model=fc", "norm=online", "training.precision=float64"),
        ("model=cnn", "model.width=1", "model.depth=4", "norm=batch", "norm.placement=after"),
    ],
)
def test_a_loaded_network_is_the_one_that_was_trained(
    overrides: tuple[str, ...], data: ImageData, tmp_path: Path
) -> None:
    config = compose_one([*_SMALL, *overrides])
    trial = Trial.from_config(config, train_size=dataset_info(config.data).train, data_checksum="")
    packs: list[Pack] = []

    def look(pack: Pack) -> None:
        packs.append(pack)
        save_network(tmp_path / "weights.pt", pack, config, data)

    [result] = fit([trial], data, look=look)
    network = load_network(tmp_path / "weights.pt")
    state, own = packs[0].slot_state(0), network.net.state_dict()
    assert own.keys() == state.keys()
    assert all(torch.equal(own[name], state[name]) for name in own)
    test = split_data(data, kind=config.data.split, seed=config.seed).test
    logits = network(torch.from_numpy(data.images[test]))
    right = int((logits.argmax(1) == torch.from_numpy(data.labels[test])).sum())
    # The pack is the judge: an image on the edge between two classes may fall to the other side by rounding.
    assert abs(right - result.metrics[TEST_ACC] * len(test)) <= 1
    assert result.metrics[TEST_ACC] > 0.2 or "norm.inference=initial" in overrides


_BY_HAND = """
import torch
from torch import nn


class ByHand(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.mean, self.batches = torch.zeros(features), 0

    def forward(self, x):
        if self.training:
            self.batches += 1
            self.mean = self.mean + (x.detach().mean(0) - self.mean) / self.batches
        return x - self.mean


def by_hand(features, norm):
    return ByHand(features)
"""


def test_what_a_norm_keeps_in_plain_attributes_is_kept_with_the_weights(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "norm_with_attributes.py").write_text(_BY_HAND)
    config = compose_one([*_SMALL, "model=fc", "norm=custom", "norm.factory=norm_with_attributes:by_hand"])
    trial = Trial.from_config(config, train_size=dataset_info(config.data).train, data_checksum="")
    images = torch.from_numpy(data.images[:50])
    logits = []

    def look(pack: Pack) -> None:
        save_network(tmp_path / "weights.pt", pack, config, data)
        trained = load_network(tmp_path / "weights.pt")
        with torch.no_grad():
            x = images[None].to(torch.float32) * trained.scale + trained.shift
            logits.append(pack.eval()(pack.fold(x, torch.float32))[0].t())

    fit([trial], data, alone=True, look=look)
    assert torch.equal(load_network(tmp_path / "weights.pt")(images), logits[0])


def test_a_file_of_weights_holds_no_address_and_runs_nothing(data: ImageData, tmp_path: Path) -> None:
    uri = "postgresql://me:hunter22@host/db"
    config = compose_one([*_SMALL, "model=fc", "norm=none", f"tracking.uri={uri}", "runs_dir=/secret/place"])
    trial = Trial.from_config(config, train_size=dataset_info(config.data).train, data_checksum="")
    path = tmp_path / "weights.pt"
    fit([trial], data, look=lambda pack: save_network(path, pack, config, data))
    saved = torch.load(path, weights_only=True)
    assert "hunter22" not in str(saved["config"])
    assert "/secret/place" not in str(saved["config"])
    torch.save({"config": print}, path)  # a function, which only unpickling would bring back
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        load_network(path)
