"""The catalogs of norms and models: every entry is complete, and a name in no catalog is an error everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from bnbench.config import (
    ALL_MODELS,
    ALL_NORMS,
    Bias,
    Config,
    ConfigError,
    ModelConfig,
    NormConfig,
    TrainingConfig,
    Trial,
)
from bnbench.config.folder import conf_dir
from bnbench.config.imported import imported
from bnbench.config.model_catalog import KEYS_OF_BLOCKS, model_keys
from bnbench.config.trial import VARIES_IN_PACK
from bnbench.models import MODELS, build_model, norm_sites
from bnbench.models.block import Block
from bnbench.models.geometry import work
from bnbench.norms import NORMS, ChannelNorm, StatisticsNorm, make_norm
from bnbench.norms.standardized_weights import StandardizedConv2d, StandardizedLinear
from bnbench.packing import attributes
from bnbench.packing.packability import reason_against_packs

TESTS = Path(__file__).parent.parent
IMAGES, CLASSES = (3, 8, 8), 4
SMALL = {"depth": 2, "width": 4}
"""Values for `model` that make every network small."""


def trial(model: str, norm: str, **norm_keys: Any) -> Trial:
    keys = {"groups": 2, "ghost_size": 2, **norm_keys}
    config = Config(
        model=ModelConfig(name=model, **SMALL),
        norm=NormConfig(name=norm, **keys),
        training=TrainingConfig(batch_size=4),
    )
    return Trial.from_config(config, train_size=100, data_checksum="")


@pytest.mark.parametrize(("group", "catalog"), [("model", ALL_MODELS), ("norm", ALL_NORMS)])
def test_every_entry_has_a_configuration_file_and_every_file_an_entry(group: str, catalog: dict[str, Any]) -> None:
    files = {file.stem: OmegaConf.load(file) for file in (conf_dir() / group).glob("*.yaml")}
    assert files.keys() == catalog.keys()
    schema = {f.name for f in fields(ModelConfig if group == "model" else NormConfig)}
    for name, file in files.items():
        assert file.name == name
        assert {*file} <= schema


def test_every_key_of_norms_has_an_effect_on_a_norm_of_the_catalog() -> None:
    used = set().union(*(norm.keys for norm in NORMS.values()))
    assert used == {f.name for f in fields(NormConfig)} - {
        "name",
        "preset",
        "factory",
    }  # a preset has an effect through the values it sets


class _ReadRecorder:
    """Wraps a configuration and records which of its keys are read."""

    def __init__(self, config: Any, read: set[str]) -> None:
        self._config, self._read = config, read

    def __getattr__(self, name: str) -> Any:
        self._read.add(name)
        return getattr(self._config, name)

    def resolved(self) -> _ReadRecorder:
        return _ReadRecorder(self._config.resolved(), self._read)


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_reads_no_key_that_its_entry_leaves_out_of_a_trial_s_key(name: str) -> None:
    norm, read = NORMS[name], set[str]()
    recorder: Any = _ReadRecorder(NormConfig(name=name).resolved(), read)
    norm.settings(recorder)
    [*norm.errors(recorder, 7, "fc", [5])]
    norm.examples(recorder, 7)
    assert read <= norm.keys


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_model_reads_no_key_that_its_entry_leaves_out_of_a_trial_s_key(name: str, norm: str) -> None:
    model, read = ModelConfig(name=name, **SMALL), set[str]()
    recorder: Any = _ReadRecorder(model, read)
    imported(ALL_MODELS[name].network)(recorder, NormConfig(name=norm), IMAGES, CLASSES)
    imported(ALL_MODELS[name].geometry)(recorder, IMAGES, CLASSES)
    assert read - {"hidden_widths"} <= model_keys(model)  # a property that reads depth and width, or widths


def test_every_key_of_models_has_an_effect_on_a_model_of_the_catalog() -> None:
    drawn = {"init": "normal", "head_init": "normal"}
    configs = [ModelConfig(name=name, widths=widths, **drawn) for name in MODELS for widths in (None, [3])]
    assert set().union(*map(model_keys, configs)) == {f.name for f in fields(ModelConfig)} - {"factory"}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("norm", [name for name, norm in NORMS.items() if name != "none" and not norm.over_positions])
def test_a_model_s_geometry_is_that_of_its_real_layers(name: str, norm: str) -> None:
    """Judge: hooks on the layers of a network that was built, with each norm and normalized logits."""
    net = build_model(trial(name, norm, logits="affine"), IMAGES, CLASSES)
    sites, layers = [], []

    def record_site(where: str, x: torch.Tensor) -> None:
        assert len(x) == 4, "positions that lie among the examples are counted as none"
        sites.append((where.removesuffix(".norm"), x.shape[1], x[0, 0].numel()))

    for where, module in net.named_modules():
        if isinstance(module, ChannelNorm):
            module.register_forward_pre_hook(lambda module, x, where=where: record_site(where, x[0]))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(lambda module, x, y: layers.append((module, y.numel() // 4)))
    net(torch.rand(4, *IMAGES))
    model = ModelConfig(name=name, **SMALL)
    assert [tuple(site) for site in norm_sites(model, IMAGES, CLASSES, logits=True)] == sites
    computed, macs = work(model, IMAGES, CLASSES), dict.fromkeys((nn.Linear, nn.Conv2d), 0)
    for layer, values in layers:
        kind = nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.Linear
        macs[kind] += values * layer.weight[0].numel()
    assert (computed.linear, computed.conv) == (macs[nn.Linear], macs[nn.Conv2d])
    assert computed.activations == sum(values for _, values in layers)
    assert computed.weights == sum(layer.weight.numel() for layer, _ in layers)
    assert computed.conv_channels == tuple(layer.out_channels for layer, _ in layers if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("name", MODELS)
def test_blocks_of_every_model_obey_bias_and_weight_standardization(name: str) -> None:
    """A layer that is not made by `make_linear` or `make_conv` would ignore these keys."""
    plain, standardized = (
        imported(ALL_MODELS[name].network)(
            ModelConfig(name=name, bias=bias, **SMALL),
            NormConfig(name="batch", weight_standardization=weight_standardization),
            IMAGES,
            CLASSES,
        )
        for bias, weight_standardization in ((Bias.always, False), (Bias.never, True))
    )
    blocks = {net: [module for module in net.modules() if isinstance(module, Block)] for net in (plain, standardized)}
    assert len(blocks[plain]) == len(norm_sites(ModelConfig(name=name, **SMALL), IMAGES, CLASSES))
    assert all(block.layer.bias is not None for block in blocks[plain])
    assert all(block.layer.bias is None for block in blocks[standardized])
    assert all(isinstance(block.layer, StandardizedLinear | StandardizedConv2d) for block in blocks[standardized])


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name, norm in NORMS.items() for key in sorted(norm.keys) if f"norm.{key}" in VARIES_IN_PACK],
)
def test_trials_of_a_pack_may_differ_in_the_settings_of_a_norm_that_vary_in_packs(name: str, key: str) -> None:
    """A setting that is not in the layer's `per_trial` would fail while the pack is built, trial after trial."""
    norms: list[Any] = [make_norm(NormConfig(**{"name": name, key: value}), 3) for value in (0.25, 0.5)]
    assert type(norms[0]).fold(norms).trials == 2


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_a_model_of_the_catalog_may_be_packed(name: str, norm: str) -> None:
    """The models of the catalog are packed without a trial run, so this test is the only check that they may be."""
    assert reason_against_packs(trial(name, norm), IMAGES, CLASSES) is None


@pytest.mark.parametrize("name", [name for name in NORMS if name != "none"])
def test_steps_and_evaluations_of_a_norm_change_buffers_alone(name: str) -> None:
    """A checkpoint of a pack saves buffers; whatever a norm counted in another attribute would be lost."""
    norm = make_norm(NormConfig(name=name, groups=2, ghost_size=2), 4)
    assert norm is not None
    buffers = {(norm, buffer) for buffer in norm._buffers}
    before = attributes.snapshot(norm, buffers)
    for mode in (True, True, False):
        norm.train(mode)(torch.rand(4, 4, 2, 2))
    assert attributes.changed_names(before, attributes.snapshot(norm, buffers)) == []


@pytest.mark.parametrize("name", [name for name in NORMS if name != "none"])
def test_norm_inference_is_a_key_of_exactly_the_norms_that_use_it(name: str) -> None:
    kind = imported(NORMS[name].layer)
    uses_inference = issubclass(kind, StatisticsNorm) and not kind.frozen
    assert ("inference" in NORMS[name].keys) == uses_inference


@pytest.mark.parametrize("name", [name for name in NORMS if name != "none"])
def test_every_norm_is_compared_with_its_judges(name: str) -> None:
    judges = (TESTS / "norms" / "test_norms_judges.py").read_text()
    assert f"({NORMS[name].layer.rpartition(':')[2]}, {{" in judges


def test_keys_of_blocks_are_no_part_of_a_trial_without_blocks() -> None:
    assert all(norm.keys >= KEYS_OF_BLOCKS for name, norm in NORMS.items() if name != "none")
    custom = Config(
        model=ModelConfig(name="custom", factory="bnbench.examples.network:residual"), norm=NormConfig(name="batch")
    )
    params = Trial.from_config(custom, train_size=100, data_checksum="").params
    assert not {f"norm.{key}" for key in KEYS_OF_BLOCKS} & params.keys()


# Names that are in no catalog.


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (Config(model=ModelConfig(name="resnet")), f"model=resnet is unknown; allowed: {', '.join(ALL_MODELS)}"),
        (Config(norm=NormConfig(name="btach")), "norm=btach is unknown; allowed: none, batch, "),
    ],
)
def test_an_unknown_choice_is_an_error_of_its_configuration(config: Config, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Trial.from_config(config, train_size=100, data_checksum="")


@pytest.mark.parametrize(
    "look_up",
    [
        lambda: make_norm(NormConfig(name="btach"), 3),
        lambda: NormConfig(name="btach").resolved(),
        lambda: norm_sites(ModelConfig(name="resnet"), IMAGES, CLASSES),
        lambda: work(ModelConfig(name="resnet"), IMAGES, CLASSES),
        lambda: model_keys(ModelConfig(name="resnet")),
    ],
)
def test_an_unknown_choice_is_never_taken_for_another(look_up: Callable[[], object]) -> None:
    with pytest.raises(KeyError):
        look_up()
