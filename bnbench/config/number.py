"""A numeric key of the schema: its default, and the interval that its value must lie in."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any


def number(
    default: Any, low: float, high: float = math.inf, *, low_is_allowed: bool = True, high_is_allowed: bool = True
) -> Any:
    """A numeric field and the interval its value must lie in."""
    return field(default=default, metadata={"interval": (low, high, low_is_allowed, high_is_allowed)})
