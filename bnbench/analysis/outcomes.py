"""How trials ended, as far as their table tells: which succeeded, and which finished without having learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnbench.data.catalog import DATASETS
from bnbench.record import names

LUCK = 0.99
"""Of trials that learned nothing, at least this share is called collapsed."""


@dataclass(frozen=True)
class Outcomes:
    """How some trials ended, in numbers.

    Attributes:
        planned: All of the trials.
        finished: Trials trained to their budget; some of these may have `collapsed`.
        diverged: Trials whose loss was not finite.
        undefined: Trials that have no result by definition.
        failed: Trials that ended with an error.
        missing: Trials not trained yet; they have not failed.
        collapsed: Trials that finished, but no better than luck.
    """

    planned: int
    finished: int = 0
    diverged: int = 0
    undefined: int = 0
    failed: int = 0
    missing: int = 0
    collapsed: int = 0

    @property
    def trained(self) -> int:
        """How many trials are not missing, however they ended."""
        return self.planned - self.missing

    @property
    def ended(self) -> int:
        """How many trials finished or diverged, and so could have succeeded."""
        return self.finished + self.diverged

    @property
    def succeeded(self) -> int:
        """How many trials finished and did not collapse."""
        return self.finished - self.collapsed


class Chance(NamedTuple):
    """What a trial that learned nothing gets right.

    Attributes:
        share: Share of the test images that are of the largest class; no guess that ignores the images is expected to
            get a larger share right.
        images: Number of test images.
        most: Number of right answers up to which a trial is called collapsed.
    """

    share: float
    images: int
    most: int


def collapsed(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials finished no better, on the test images, than naming their largest class does, luck included.

    The rule: of n test images, a share p of the largest class, a trial is collapsed unless it has more of them right
    than the 99 % quantile of the binomial distribution of n and p. A constant predictor scores some class's share and
    is always called collapsed; of guesses that ignore the images at most 1 in 100 is not. With few test images the
    bound is high: an accuracy below it cannot be told from luck.

    n and p are recorded with each trial, whatever its data. For trials from stores older than that record, those of
    the catalog are used; where it lacks the data set too, no trial is called collapsed.
    """
    if names.TEST_ACC not in trials:
        return pd.Series(False, index=trials.index)
    # Plain arrays, because there are many short arms and each pandas operation costs more than all of this.
    shares, images = _record(trials)
    most = np.array([_most(share, n) for share, n in zip(shares.tolist(), images.tolist(), strict=True)])
    right = np.rint(trials[names.TEST_ACC].to_numpy(dtype=float) * images)
    finished = trials["status"].to_numpy() == "finished"
    return pd.Series(finished & (right <= most), index=trials.index)


def largest_class(trials: pd.DataFrame) -> pd.Series[float]:
    """The share of the test images that are of their largest class, by trial; NaN where it is not known."""
    return pd.Series(_record(trials)[0], index=trials.index)


def chances(trials: pd.DataFrame) -> list[Chance]:
    """What trials that learned nothing get right, once for each kind of test split among those that finished."""
    shares, images = _record(trials[trials["status"] == "finished"])
    known = {(p, n): None for p, n in zip(shares.tolist(), images.tolist(), strict=True) if p == p and n == n}
    return [Chance(p, int(n), int(_most(p, n))) for p, n in known]


def _record(trials: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The largest class's share and the number of test images, by trial; NaN where neither is known."""
    data = trials["data"].tolist() if "data" in trials else [None] * len(trials)
    catalog = [DATASETS.get(str(name)) for name in data]

    def recorded(key: str, older: Iterator[float]) -> np.ndarray:
        fallback = np.fromiter(older, dtype=float, count=len(trials))
        if key not in trials:
            return fallback
        recorded_shares = trials[key].to_numpy(dtype=float)
        return np.where(np.isnan(recorded_shares), fallback, recorded_shares)

    shares = recorded(names.LARGEST_CLASS, (np.nan if info is None else info.largest_class for info in catalog))
    return shares, recorded(names.TEST_IMAGES, (np.nan if info is None else info.test for info in catalog))


@cache
def _most(share: float, images: float) -> float:
    """The number of right answers that luck exceeds at most once in a hundred; NaN where the data are not known."""
    from scipy.stats import binom

    return float(binom.ppf(LUCK, images, share))


def succeeded(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials finished and did not collapse."""
    return pd.Series((trials["status"].to_numpy() == "finished") & ~collapsed(trials).to_numpy(), index=trials.index)


def count_outcomes(trials: pd.DataFrame) -> Outcomes:
    """The numbers of these trials that ended in each way."""
    return Outcomes(len(trials), **Counter(trials["status"]), collapsed=int(collapsed(trials).sum()))
