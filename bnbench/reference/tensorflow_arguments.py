"""How TensorFlow's low-level functions take their arguments, under the names of both of its versions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex


def axes_of(axes: SupportsIndex | Sequence[SupportsIndex] | None, dimensions: int) -> tuple[int, ...]:
    """One axis or several, whole numbers of any type, as a tuple; None is all of them."""
    if axes is None:
        return tuple(range(dimensions))
    if isinstance(axes, SupportsIndex):
        try:
            return (operator.index(axes),)
        except TypeError:  # an array of several axes says that it is an index too
            pass
    return tuple(operator.index(axis) for axis in axes)  # type: ignore[union-attr]


def either(old_name: str, old: Any, new_name: str, new: Any) -> Any:
    """An argument that has two names.

    Raises:
        TypeError: If it is given under both or under none.
    """
    if old is not None and new is not None:
        raise TypeError(f"{old_name} and {new_name} are two names of one argument; give one of them")
    return given(f"{old_name}, or {new_name}", new if old is None else old)


def given(name: str, value: Any) -> Any:
    """An argument that must be given.

    Raises:
        TypeError: If it is not.
    """
    if value is None:
        raise TypeError(f"missing argument: {name}")
    return value
