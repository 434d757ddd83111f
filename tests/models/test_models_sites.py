"""The places of norms in any network: what stands there, its layer and its activation, and what may move."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import ConfigError
from bnbench.models.own.sites import Site, find_sites
from bnbench.models.own.trace import trace

IMAGES = (3, 6, 6)


def sites_of(net: nn.Module) -> list[Site]:
    return find_sites(trace(net.eval(), torch.rand(2, *IMAGES)), "model.factory=here:net")


class Conv(nn.Module):
    """A conv layer, a norm and an activation, as `body` calls them, and a head."""

    def __init__(self, body: Callable[[Conv, Tensor], Tensor], norm: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 5)
        self.norm = nn.BatchNorm2d(4) if norm is None else norm
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self, x).mean((2, 3)))


class LayerNorm2d(nn.LayerNorm):
    """Layer norm of each pixel, of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class BatchNormAct(nn.BatchNorm2d):
    """Batch norm and the activation that it holds."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class Written(nn.Module):
    """Layer norm over channels, which neither its class nor its name betrays."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.movedim(1, -1), (4,), self.gamma, self.beta).movedim(-1, 1)


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (lambda net, x: net.act(net.norm(net.conv(x))), "ReLU"),
        (lambda net, x: F.relu(net.norm(net.conv(x))), "relu"),
        (lambda net, x: torch.relu(net.norm(net.conv(x))), "relu"),
        (lambda net, x: net.norm(net.conv(x)).relu(), "relu"),
        (lambda net, x: F.gelu(net.norm(net.conv(x)), approximate="tanh"), "gelu"),
        (lambda net, x: F.hardswish(net.norm(net.conv(x))), "hardswish"),
        (lambda net, x: net.norm(net.conv(x)).sigmoid(), "sigmoid"),
    ],
    ids=["module", "F.relu", "torch.relu", "method", "F.gelu", "F.hardswish", "sigmoid"],
)
def test_the_layer_before_and_the_activation_after_are_found(
    body: Callable[[Conv, Tensor], Tensor], after: str
) -> None:
    [site] = sites_of(Conv(body))
    assert (site.path, site.kind, site.channels, site.shape) == ("norm", "batch", 4, (4, 4, 4))
    assert (site.layer, site.before, site.after) == ("conv", "", after)
    assert (site.can_be_after, site.can_be_before, site.why_not) == (True, False, "")


@pytest.mark.parametrize(
    ("body", "before", "can_be_before", "why_not"),
    [
        (lambda net, x: net.norm(net.act(net.conv(x))), "ReLU", True, ""),
        (lambda net, x: net.norm(F.relu(net.conv(x))), "relu", True, ""),
        (lambda net, x: net.norm(F.relu(net.conv(x) + 1)), "relu", False, "goes into mean"),
        (lambda net, x: net.norm(y := net.act(net.conv(x))) + y, "ReLU", False, "goes into add"),
        (lambda net, x: net.act(net.norm(y := net.conv(x)) + y), "", False, "goes into add"),
        (lambda net, x: net.act(y := net.norm(net.conv(x))) + y, "", False, "goes to several places"),
        (lambda net, x: F.dropout(net.norm(net.conv(x))).relu(), "", False, "goes into dropout"),
    ],
    ids=["module", "function", "after an addition", "used twice", "before an addition", "used before", "dropout"],
)
def test_only_a_norm_right_beside_its_activation_can_move(
    body: Callable[[Conv, Tensor], Tensor], before: str, can_be_before: bool, why_not: str
) -> None:
    [site] = sites_of(Conv(body))
    assert (site.before, site.can_be_after, site.can_be_before, site.why_not) == (before, False, can_be_before, why_not)


def test_an_in_place_function_is_named_with_its_line_and_what_to_write_instead() -> None:
    def body(net: Conv, x: Tensor) -> Tensor:
        return net.norm(net.conv(x)).relu_()

    [site] = sites_of(Conv(body))
    line = body.__code__.co_firstlineno + 1
    assert not site.can_be_after
    assert site.why_not.startswith(f"relu is called in place (test_models_sites.py:{line} in ")
    assert site.why_not.endswith("write x = x.relu()")


@pytest.mark.parametrize(
    ("norm", "kind", "per_position", "inner"),
    [
        (nn.BatchNorm2d(4), "batch", False, ""),
        (nn.InstanceNorm2d(4), "instance", False, ""),
        (nn.GroupNorm(2, 4), "group", False, ""),
        (nn.LayerNorm([4, 4, 4]), "layer", False, ""),
        (LayerNorm2d(4), "layer", True, ""),
        (Written(), "layer", True, ""),
        (BatchNormAct(4), "batch", False, "act"),
    ],
    ids=["batch", "instance", "group", "whole layer", "LayerNorm2d", "hand-written", "with its activation"],
)
def test_the_kind_of_a_norm_is_told_and_whether_it_normalizes_pixel_by_pixel(
    norm: nn.Module, kind: str, per_position: bool, inner: str
) -> None:
    [site] = sites_of(Conv(lambda net, x: net.norm(net.conv(x)), norm))
    assert (site.kind, site.per_position, site.inner) == (kind, per_position, inner)
    assert (site.channels, site.axis, site.positions) == (4, 1, 16)
    assert (site.after, site.can_be_after) == ("SiLU" if inner else "", bool(inner))


class Tokens(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Linear(3, 8), norm, nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.embed(x.flatten(2).transpose(1, 2))).mean(1))


@pytest.mark.parametrize(("norm", "kind"), [(nn.LayerNorm(8), "layer"), (nn.RMSNorm(8), "rms")])
def test_a_norm_of_tokens_has_its_channels_last(norm: nn.Module, kind: str) -> None:
    [site] = sites_of(Tokens(norm))
    assert (site.kind, site.channels, site.shape, site.axis, site.per_position) == (kind, 8, (36, 8), -1, True)
    assert (site.layer, site.positions) == ("embed", 36)


def test_a_shared_activation_is_told_apart_by_its_calls() -> None:
    def body(net: Conv, x: Tensor) -> Tensor:
        return net.act(net.act(net.norm(net.conv(x))) + 1)

    [site] = sites_of(Conv(body))
    assert (site.after, site.can_be_after) == ("ReLU", True)


def test_a_network_without_norms_has_a_place_between_each_layer_and_its_activation() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(6, 7),
        nn.Tanh(), nn.Linear(7, 5),
    )  # fmt: skip
    places = sites_of(net)
    assert [(place.path, place.kind, place.channels, place.after) for place in places] == [
        ("0", "none", 4, "ReLU"), ("6", "none", 7, "Tanh")
    ]  # fmt: skip


def test_a_gate_is_no_place_for_a_norm() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.gate, self.head = nn.Linear(108, 4), nn.Linear(108, 4), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return self.head(self.first(x).relu() * self.gate(x).sigmoid())

    assert sites_of(Gated()) == []


def _in_a_function(net: Conv, x: Tensor) -> Tensor:
    return F.batch_norm(net.conv(x), None, None, training=True).relu()


def _in_a_list(net: Conv, x: Tensor) -> Tensor:
    return net.head_norms[0](net.conv(x))  # type: ignore[operator,index,union-attr]


@pytest.mark.parametrize(
    ("body", "what", "remedy"),
    [
        (_in_a_function, "calls batch_norm", "make a module in __init__ (self.norm = torch.nn.BatchNorm2d(…))"),
        (_in_a_list, "uses a BatchNorm2d that is no attribute of a module", "put it in a torch.nn.ModuleList"),
    ],
    ids=["function", "plain list"],
)
def test_a_norm_that_cannot_be_replaced_is_named_with_its_line_and_what_to_write_instead(
    body: Callable[[Conv, Tensor], Tensor], what: str, remedy: str
) -> None:
    net = Conv(body, nn.Identity())
    net.head_norms = [nn.BatchNorm2d(4)]  # type: ignore[assignment]
    with pytest.raises(ConfigError) as caught:
        sites_of(net)
    [line] = str(caught.value).splitlines()
    where = f"(test_models_sites.py:{body.__code__.co_firstlineno + 1} in {body.__qualname__})"
    assert line.startswith("model.factory=here:net: its forward ")
    assert [part for part in (what, where, remedy) if part not in line] == []


def test_a_norm_that_calls_an_activation_as_a_function_cannot_be_replaced() -> None:
    class BatchNormReLU(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(super().forward(x))

    with pytest.raises(ConfigError, match=r"norm \(BatchNormReLU\) applies relu in its own forward \(.*two modules"):
        sites_of(Conv(lambda net, x: net.norm(net.conv(x)), BatchNormReLU(4)))
