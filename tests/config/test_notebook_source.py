"""A network or a norm of a notebook's cell as a module: what is written, and what is refused."""

from __future__ import annotations

import importlib
import linecache
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bnbench.config import ConfigError
from bnbench.config.notebook_source import factory_name

_CELL = """
import torch
from collections import OrderedDict as Ordered
from torch import cat, nn

WIDTHS = (8, 4)
batch = torch.zeros(3)

def doubled(batch):
    return 2 * batch

def unused(batch):
    return batch

def marked(cls):
    cls.marked = True
    return cls

@marked
class Net(nn.Module):
    def __init__(self, image_shape, classes):
        super().__init__()
        self.layers = nn.Sequential(Ordered(head=nn.Linear(WIDTHS[0], classes)))

    def forward(self, batch):
        return doubled(self.layers(cat([batch.flatten(1)[:, : WIDTHS[0]]])))

class Bad(nn.Module):
    def forward(self, x):
        return x + batch

class Bare(nn.Module):
    pass

raise_if_run = 1
"""


def _run_cell(text: str, monkeypatch: pytest.MonkeyPatch, number: int = 0) -> dict[str, Any]:
    """What a kernel does with a cell: its names are those of `__main__`, its text is known to `linecache` alone."""
    name = f"/cells/{number}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(compile(text, name, "exec"), vars(main))
    return vars(main)


def test_a_network_is_written_with_what_it_uses_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    cell = _run_cell(_CELL, monkeypatch)
    name = factory_name("network", cell["Net"])
    module, _, found = name.partition(":")
    text = (tmp_path / f"{module.replace('.', '/')}.py").read_text()
    assert "unused" not in text
    assert "raise_if_run" not in text
    assert "batch = torch" not in text  # a name of the notebook that is an argument's name in the network
    monkeypatch.setitem(sys.modules, "bnbench_networks", None)  # whatever another test imported
    monkeypatch.delitem(sys.modules, "bnbench_networks")
    net = getattr(importlib.import_module(module), found)((1, 2, 4), 5)
    assert net.marked
    assert net(torch.zeros(3, 1, 2, 4)).shape == (3, 5)
    assert factory_name("network", cell["Net"]) == name
    edited = _run_cell(_CELL.replace("2 * batch", "3 * batch"), monkeypatch, 1)
    assert factory_name("network", edited["Net"]) != name


@pytest.mark.parametrize(
    ("what", "name", "said"),
    [
        (
            "network",
            "Bad",
            r"network=Bad uses batch, a Tensor of the notebook, which no file can hold; .*%%writefile own\.py",
        ),
        ("norm", "Bad", r"norm=Bad uses batch, .*; put the norm into a file .* give norm=custom norm\.factory=own:Bad"),
        ("network", "Bare", r"network=Bare, whose source cannot be had; put the network into a file"),
    ],
)
def test_a_network_that_cannot_be_written_is_refused(
    what: str, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cell = _run_cell(_CELL, monkeypatch)
    with pytest.raises(ConfigError, match=said):
        factory_name(what, cell[name])
    assert [*tmp_path.iterdir()] == []


def test_a_lambda_an_inner_class_and_an_object_are_refused() -> None:
    class Inner:
        pass

    for given in (lambda: None, Inner, Inner(), "mine:Net"):
        with pytest.raises(ConfigError, match="must be a class or function that is defined by name"):
            factory_name("network", given)  # type: ignore[arg-type]


def test_a_network_of_a_module_is_named_where_it_is() -> None:
    from bnbench.examples.network import residual

    assert factory_name("network", residual) == "bnbench.examples.network:residual"
