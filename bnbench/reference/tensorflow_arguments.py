"""How TensorFlow's low-level functions take their arguments, under the names of both of its versions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex


def axes_of(axes: SupportsIndex | Sequence[SupportsIndex] | None, dimensions: int) -> tuple[int, ...]:
    """The axes as a tuple: one axis or several, whole numbers of any type; None stands for all axes."""
    if axes is None:
        return tuple(range(dimensions))
    if isinstance(axes, SupportsIndex):
        try:
            return (operator.index(axes),)
        except TypeError:  # an array of several axes has __index__ too, which raises
            pass
    return tuple(operator.index(axis) for axis in axes)  # type: ignore[union-attr]


def one_of_two(old_name: str, old: Any, new_name: str, new: Any) -> Any:
    """The value of an argument that has two names, of which one is None.

    Raises:
        TypeError: If both are passed, or neither.
    """
    if old is not None and new is not None:
        raise TypeError(f"{old_name} and {new_name} are two names of one argument; give one of them")
    return required(f"{old_name}, or {new_name}", new if old is None else old)


def required(name: str, value: Any) -> Any:
    """The value of an argument that must not be None.

    Raises:
        TypeError: If it is.
    """
    if value is None:
        raise TypeError(f"missing argument: {name}")
    return value
