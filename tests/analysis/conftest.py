"""Tables of a few hand-written trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

from bnbench.analysis import SweepTable
from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord

TableOf = Callable[..., SweepTable]

_META = {
    "name": "made_up",
    "id": "0",
    "compare": ["norm", "norm.placement"],
    "contrasts": [],
    "tuning_seeds": [],
    "varied": ["norm", "seed"],
}


@pytest.fixture
def table_of() -> TableOf:
    """Builds a table from rows that say what matters; all else is a finished trial of fc without norm."""

    def build(rows: Sequence[dict[str, Any]], **meta: Any) -> SweepTable:
        default = {
            "status": "finished",
            "reason": "",
            "seed": 0,
            "model": "fc",
            "norm": "none",
            names.TEST_ACC: 0.9,
        }
        trials = pd.DataFrame([{"key": f"k{i}", **default, **row} for i, row in enumerate(rows)])
        trials["tuning"] = trials["seed"].isin(meta.get("tuning_seeds", []))
        return SweepTable(
            SweepRecord.from_json({**_META, **meta}), trials, pd.DataFrame(columns=["key", "step", "examples"])
        )

    return build
