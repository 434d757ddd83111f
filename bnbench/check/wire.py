"""How the judge and the process of the checked layer talk: a line of JSON each way, arrays in double precision."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np


def to_line(value: Any) -> str:
    """Plain values and arrays as one line of text; every bit of an array's numbers is kept, NaN's sign apart."""
    return json.dumps(value, default=_packed)


def from_line(line: str) -> Any:
    """What `to_line` was given; arrays are float64."""
    return json.loads(line, object_hook=_unpacked)


def _packed(array: Any) -> dict[str, Any]:
    numbers = np.asarray(array, dtype=np.float64)
    return {"float64": base64.b64encode(numbers.tobytes()).decode("ascii"), "shape": numbers.shape}


def _unpacked(value: dict[str, Any]) -> Any:
    if value.keys() != {"float64", "shape"}:
        return value
    return np.frombuffer(base64.b64decode(value["float64"])).reshape(value["shape"]).copy()
