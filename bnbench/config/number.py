"""A numeric key of the schema: its default, and the interval that its value must lie in."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any


def number(
    default: Any, low: float, high: float = math.inf, *, low_is_allowed: bool = True, high_is_allowed: bool = True
) -> Any:
    """A dataclass field of this default, with the interval its value must lie in among its metadata.

    `range_errors` checks the value, a float or a whole number as the field's type says.
    """
    return field(default=default, metadata={"interval": (low, high, low_is_allowed, high_is_allowed)})
