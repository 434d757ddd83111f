"""How trials ended, as far as their table tells: which succeeded, and which failed without a word."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from bnbench import names
from bnbench.data.catalog import DATASETS
from bnbench.table import MISSING

__all__ = ["OUTCOMES", "collapsed", "count_outcomes", "succeeded"]

OUTCOMES = (*names.STATUSES, MISSING)

_AT_CHANCE = {name: info.largest_class + 0.5 / info.test for name, info in DATASETS.items()}


def collapsed(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials finished no better, on the test images, than naming the largest class for every one of them.

    A constant predictor scores some class's share, so it is among them; so is a network that learned nothing. Half
    an image is allowed for rounding. Of a data set that is not in the catalog nothing is known, and no trial of it
    is called collapsed.
    """
    if "data" not in trials or names.TEST_ACC not in trials:
        return pd.Series(False, index=trials.index)
    # Plain arrays: arms are short, there are many, and each step of pandas costs more than all of this.
    most = np.array([_AT_CHANCE.get(name, np.nan) for name in trials["data"]])
    finished = trials["status"].to_numpy() == "finished"
    return pd.Series(finished & (trials[names.TEST_ACC].to_numpy(dtype=float) <= most), index=trials.index)


def succeeded(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials finished and did not collapse."""
    return pd.Series((trials["status"].to_numpy() == "finished") & ~collapsed(trials).to_numpy(), index=trials.index)


def count_outcomes(trials: pd.DataFrame) -> dict[str, int]:
    """How many were `planned`, how many ended in each of `OUTCOMES`, and how many of the finished `collapsed`."""
    counts = Counter(trials["status"])
    return {
        "planned": len(trials),
        **{outcome: counts[outcome] for outcome in OUTCOMES},
        "collapsed": int(collapsed(trials).sum()),
    }
