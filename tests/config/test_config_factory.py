"""Functions that users write: which arguments they are called with, and which errors are answered by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnbench.config import ConfigError
from bnbench.config.factory import call, factory

_ARGUMENTS = {"image_shape": (1, 8, 8), "classes": 10, "model": "section"}


class NamesAnArgument:
    def __init__(self, classes: int) -> None:
        self.arguments = (classes,)


class HasDefaults:
    def __init__(self, shape: object, eps: float = 1e-5, device: object = None) -> None:
        self.arguments = (shape, eps, device)


class TakesNothing:
    arguments = ()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda image_shape, classes, model: (image_shape, classes, model), ((1, 8, 8), 10, "section")),
        (lambda a, b, c: (a, b, c), ((1, 8, 8), 10, "section")),
        (lambda *all: all, ((1, 8, 8), 10, "section")),
        (lambda a, *rest, **options: (a, *rest), ((1, 8, 8), 10, "section")),
        (lambda a, b=None, model=None: (a, b, model), ((1, 8, 8), 10, "section")),
        (lambda a, width=3: (a, width), ((1, 8, 8), 3)),
        (lambda classes, image_shape: (classes, image_shape), (10, (1, 8, 8))),
        (lambda *, classes: classes, 10),
        (lambda a: a, (1, 8, 8)),
        (lambda: (), ()),
    ],
)
def test_a_function_is_called_with_as_many_arguments_as_it_takes(
    function: Callable[..., Any], expected: object
) -> None:
    assert call(function, _ARGUMENTS, ConfigError, "it failed") == expected


@pytest.mark.parametrize(
    ("kind", "expected"), [(NamesAnArgument, (10,)), (HasDefaults, ((1, 8, 8), 1e-5, None)), (TakesNothing, ())]
)
def test_a_class_is_called_with_the_arguments_it_requires_or_names(kind: type, expected: tuple[object, ...]) -> None:
    assert call(kind, _ARGUMENTS, ConfigError, "it failed").arguments == expected


def test_a_function_that_fails_says_how_it_was_called() -> None:
    def make(image_shape: object, classes: int, model: object, depth: int) -> None: ...

    with pytest.raises(ConfigError) as caught:
        call(make, _ARGUMENTS, ConfigError, "model.factory=here:make failed")
    [line] = str(caught.value).splitlines()
    assert line.startswith("model.factory=here:make failed: TypeError")
    assert line.endswith("missing 1 required positional argument: 'depth'; "
                         "it is called as make(image_shape, classes, model)")  # fmt: skip


def test_a_function_of_a_notebook_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"norm\.factory=__main__:make stands in a notebook"):
        factory("norm.factory", "__main__:make")
