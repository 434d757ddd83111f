"""`explain`: its counts and shapes are a real network's, its arithmetic is batch norm's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F

from bnbench.cli.explain import explain
from bnbench.config import Trial, schema
from bnbench.sweep.planning.compose import set_values

if TYPE_CHECKING:
    from conftest import Answer

_CNN = {"model.name": "cnn", "model.depth": 4, "model.width": 2, "model.stride_every": 2, "model.hidden": 5}
_BATCH = {"norm.name": "batch"}


def _explain(values: dict[str, Any], shape: tuple[int, int, int] = (3, 8, 8), classes: int = 7) -> str:
    config = set_values(schema(), values)
    return explain(Trial.from_config(config, train_size=1000, data_checksum=""), shape, classes)


def _rows(text: str) -> dict[str, list[str]]:
    """The table's rows by layer, each as its cells."""
    table = text.split("\n\n")[1].splitlines()
    return {name: rest for name, *rest in (re.split(r"\s{2,}", line) for line in table)}


def _section(text: str, title: str) -> list[str]:
    [part] = [part for part in text.split("\n\n") if part.startswith(title)]
    return [line.strip() for line in part.splitlines()[1:]]


def test_the_first_line_says_what_is_explained() -> None:
    text = _explain(_BATCH | {"norm.placement": "after", "training.batch_size": 32})
    assert text.splitlines()[0] == (
        "model=fc norm=batch norm.placement=after, input (3, 8, 8), 7 classes, batches of 32"
    )


def test_fc_has_the_shapes_and_parameters_of_its_formula() -> None:
    rows = _rows(_explain({"model.depth": 2, "model.width": 11}))
    assert rows["flatten"] == ["Flatten", "(192,)"]
    assert rows["blocks.0.layer"] == ["linear, 192 -> 11", "(11,)", f"{192 * 11 + 11:,}"]
    assert rows["blocks.1.layer"] == ["linear, 11 -> 11", "(11,)", str(11 * 11 + 11)]
    assert rows["head"] == ["linear, 11 -> 7", "(7,)", str(11 * 7 + 7)]
    assert rows["total"] == [f"{192 * 11 + 11 + 11 * 11 + 11 + 11 * 7 + 7:,}", "0"]


def test_cnn_has_the_shapes_and_parameters_of_its_formula() -> None:
    rows = _rows(_explain(_CNN | _BATCH | {"training.batch_size": 10}))
    assert rows["blocks.0.layer"] == ["conv 3x3, stride 1, 3 -> 2, no bias", "(2, 8, 8)", str(9 * 3 * 2)]
    assert rows["blocks.0.norm"] == ["BatchNorm", "(2, 8, 8)", "4", "4", "640"]
    assert rows["blocks.1.layer"] == ["conv 3x3, stride 2, 2 -> 4, no bias", "(4, 4, 4)", str(9 * 2 * 4)]
    assert rows["blocks.3.norm"] == ["BatchNorm", "(8, 2, 2)", "16", "16", "40"]
    assert rows["hidden.norm"] == ["BatchNorm", "(5,)", "10", "10", "10"]
    weights = 9 * (3 * 2 + 2 * 4 + 4 * 6 + 6 * 8) + 8 * 4 * 5 + (5 * 7 + 7)
    norms = 2 * (2 + 4 + 6 + 8 + 5)
    assert rows["total"] == [f"{weights + norms:,}", str(norms)]


def test_layers_stand_in_the_order_of_the_forward_pass() -> None:
    before, after = ([*_rows(_explain(_BATCH | {"norm.placement": place}))] for place in ("before", "after"))
    assert before[2:5] == ["blocks.0.layer", "blocks.0.norm", "blocks.0.activation"]
    assert after[2:5] == ["blocks.0.layer", "blocks.0.activation", "blocks.0.norm"]


def test_a_network_of_one_s_own_is_explained_as_it_was_made() -> None:
    own = {"model.name": "custom", "model.factory": "bnbench.examples.network:residual", "model.depth": 1}
    text = _explain(own | _BATCH | {"model.width": 4})
    assert text.startswith("model=custom norm=batch, input")
    assert _rows(text)["3.norm1"] == ["BatchNorm", "(4, 4, 4)", "8", "8", "1,024"]
    assert _section(text, "biases") == [
        "in 1 of 4 layers, as model.factory=bnbench.examples.network:residual made them"
    ]
    assert _section(text, "norms")[0] == "3, batch norm (Ioffe & Szegedy 2015)"


@pytest.mark.parametrize("affine", [True, False])
def test_a_norm_s_parameters_are_trainable_and_its_statistics_running(affine: bool) -> None:
    text = _explain(_BATCH | {"model.depth": 1, "model.width": 9, "norm.affine": affine})
    assert _rows(text)["blocks.0.norm"] == ["BatchNorm", "(9,)", *(["18"] if affine else []), "18", "64"]


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        (
            _BATCH,
            [
                "dropped from 3 of 4 layers: blocks.0.layer … blocks.2.layer (3)",
                "because norm=batch follows directly: it subtracts the mean, and a bias with it",
                "kept in head, which no norm follows",
            ],
        ),
        (
            _BATCH | {"norm.placement": "after"},
            ["all 4 layers have one", "because an activation stands between each of them and norm=batch"],
        ),
        (
            _BATCH | {"model.bias": "always"},
            [
                "all 4 layers have one",
                "because of model.bias=always; norm=batch cancels those that it follows directly",
            ],
        ),
        (
            {"model.bias": "never", "model.depth": 1},
            [
                "dropped from 1 of 2 layers: blocks.0.layer",
                "because of model.bias=never",
                "kept in head, which no norm follows",
            ],
        ),
        ({}, ["all 4 layers have one"]),
    ],
)
def test_biases_are_told_with_the_reason(values: dict[str, Any], lines: list[str]) -> None:
    assert _section(_explain(values), "biases") == lines


def test_norms_are_told_with_the_values_each_sees() -> None:
    lines = _section(_explain(_CNN | _BATCH | {"training.batch_size": 3}), "norms")
    assert lines[0].startswith("5, batch norm")
    assert lines[2:] == [
        "3 x 8 x 8 = 192         blocks.0.norm",
        "3 x 4 x 4 = 48          blocks.1.norm, blocks.2.norm",
        "3 x 2 x 2 = 12          blocks.3.norm",
        "3                       hidden.norm",
    ]
    assert _section(_explain({}), "norms") == ["none (norm=none)"]


@pytest.mark.parametrize(
    ("norm", "source"),
    [("online", "statistics of the examples before it"), ("frozen_batch", "constants taken from the training images")],
)
def test_norms_with_statistics_from_elsewhere_say_where_from(norm: str, source: str) -> None:
    said = "\n".join(_section(_explain(_CNN | {"norm.name": norm}), "norms"))
    assert f"each example is normalized by {source}" in said


@pytest.mark.parametrize(
    ("norm", "values"),
    [("ghost_batch", "128"), ("batch_renorm", "256"), ("instance", "16"), ("layer", ""), ("group", ""), ("rms", "")],
)
def test_each_kind_of_norm_is_told_by_what_it_averages_over(norm: str, values: str) -> None:
    text = _explain(_CNN | {"norm.name": norm, "norm.groups": 1, "norm.ghost_size": 8, "training.batch_size": 16})
    said = "\n".join(_section(text, "norms"))
    trainable = "8"  # the cell before, where the last one is empty
    assert _rows(text)["blocks.1.norm"][-1] == (values or trainable)  # of 4 channels, on 4 x 4 maps
    assert (f"= {values} " in said) == bool(values)
    assert ("each example is normalized by values of its own" in said) == (not values)


@pytest.mark.parametrize(("single", "said"), [("error", "refused, unless"), ("constant", "trained all the same, by")])
def test_a_single_value_is_told(single: str, said: str) -> None:
    values = _BATCH | {"training.batch_size": 1, "norm.single_value": single}
    last = _section(_explain(values), "norms")[-1]
    assert said in last
    assert "norm.single_value=constant" in last
    assert "single value" not in _explain(values | {"training.batch_size": 2})


# The worked example, judged by PyTorch.

_X = torch.tensor([[-2, 12, 6], [3, 2, 8]], dtype=torch.float64)


def _numbers(line: str) -> list[float]:
    return [float(word) for word in line.split()[-3:]]


@pytest.mark.parametrize(("eps", "momentum"), [(1e-5, 0.1), (0.25, 0.5), (1.0, 1.0)])
def test_the_worked_example_is_batch_norm(eps: float, momentum: float) -> None:
    text = _explain(_BATCH | {"norm.eps": eps, "norm.momentum": momentum})
    lines = _section(text, "batch norm by hand")
    shown = [_numbers(line) for line in lines if re.search(r"((^|\s+)-?[\d.]+){3}$", line)]
    mean, var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    y = F.batch_norm(_X, mean, var, training=True, momentum=momentum, eps=eps)
    expected = [
        *_X.tolist(),
        [0.5, 7, 7],
        [6.25, 25, 1],
        (torch.tensor([6.25, 25, 1], dtype=torch.float64) + eps).sqrt().tolist(),
        *y.tolist(),
        mean.tolist(),
        var.tolist(),
    ]
    assert len(shown) == len(expected)
    for numbers, truth in zip(shown, expected, strict=True):
        assert numbers == pytest.approx(truth, rel=1e-7)  # eight digits are printed


@pytest.mark.parametrize(
    ("preset", "label", "var"),
    [
        ("torch", "var, divisor N - 1 = 1", [0.9 + 0.1 * 12.5, 0.9 + 0.1 * 50, 0.9 + 0.1 * 2]),
        ("keras", "var, divisor N = 2", [0.99 + 0.01 * 6.25, 0.99 + 0.01 * 25, 0.99 + 0.01 * 1]),
        ("tensorflow", "var, divisor N = 2", [0.99 + 0.01 * 6.25, 0.99 + 0.01 * 25, 0.99 + 0.01 * 1]),
    ],
)
def test_the_worked_running_variance_has_the_divisor_that_trains(preset: str, label: str, var: list[float]) -> None:
    lines = _section(_explain(_BATCH | {"norm.preset": preset}), "batch norm by hand")
    last = [line for line in lines if line.startswith(label)][-1]
    assert _numbers(last) == pytest.approx(var, rel=1e-7)
    assert ("norm.running_var=fused" in lines[-1]) == (preset == "tensorflow")


def test_the_rounding_of_a_constant_feature_is_torch_s() -> None:
    for precision, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        x, y = _constant_feature({"training.batch_size": 8, "training.precision": precision})
        stored = torch.tensor(x, dtype=dtype).repeat_interleave(8).view(1, 4, 8)  # by channel, as in a pack
        judge = F.batch_norm(stored, None, None, training=True, eps=1e-5)
        assert y == pytest.approx(judge[0, :, 0].tolist(), rel=5e-3)  # three digits are printed
        assert (abs(y[-1]) > 0.01) == (precision == "float32"), "1e4 is rounded to 1e-3, which 1 / sqrt(eps) multiplies"


def test_a_constant_feature_is_explained_by_the_batch_norm_that_trains() -> None:
    _, native = _constant_feature(_BATCH)
    _, other_eps = _constant_feature(_BATCH | {"norm.eps": 0.1})
    _, manual = _constant_feature(_BATCH | {"norm.impl": "manual"})
    assert native != other_eps
    assert manual == [0.0] * 4, "its 64 equal values have that mean exactly"
    assert _constant_feature({"norm.name": "layer", "training.batch_size": 1})[1] == native


def _constant_feature(values: dict[str, Any]) -> list[list[float]]:
    lines = _section(_explain(values), "batch norm of constant features")
    return [[float(word) for word in line.split()[-4:]] for line in lines[:2]]


# The verb.


def test_the_verb_explains_what_is_typed(bnbench: Callable[..., Answer]) -> None:
    answer = bnbench("explain", "model=cnn", "data=cifar10", "norm=batch", "model.depth=2")
    assert answer.status == 0
    assert answer.err == []
    assert answer.out[0].startswith("model=cnn norm=batch norm.placement=before, input (3, 32, 32), 10 classes")
    assert any(line.startswith("blocks.1.norm") for line in answer.out)


def test_a_trial_that_cannot_be_trained_can_still_be_explained(bnbench: Callable[..., Answer]) -> None:
    answer = bnbench("explain", "model=fc", "norm=batch", "training.batch_size=1")
    assert answer.status == 0
    assert any("refused, unless norm.single_value=constant" in line for line in answer.out)
