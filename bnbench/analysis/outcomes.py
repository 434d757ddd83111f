"""How trials ended, as far as their table tells: which succeeded, and which failed without a word."""

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
"""Of trials that learned nothing, the share that is called collapsed at least."""


@dataclass(frozen=True)
class Outcomes:
    """How some trials ended, in numbers.

    Attributes:
        planned: All of them.
        finished: Trained to their budget; of these, some may have `collapsed`.
        diverged: With a loss that was not finite.
        undefined: Without a result by definition.
        failed: With an error.
        missing: Not trained yet; they have not failed.
        collapsed: Finished, and no better than luck.
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
        """Those that are not still to be trained."""
        return self.planned - self.missing

    @property
    def ended(self) -> int:
        """Those that finished or diverged, and so could have succeeded."""
        return self.finished + self.diverged

    @property
    def succeeded(self) -> int:
        """Those that finished and did not collapse."""
        return self.finished - self.collapsed


class Chance(NamedTuple):
    """What a trial that learned nothing gets right.

    Attributes:
        share: Of the test images that are of their largest class: no guess that ignores the images is expected to
            get more of them right.
        images: Test images.
        most: Right answers up to which a trial is called collapsed.
    """

    share: float
    images: int
    most: int


def collapsed(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials finished no better, on the test images, than naming their largest class does, luck included.

    The rule: of n test images, a share p of the largest class, a trial is collapsed unless it has more of them right
    than the 99 % quantile of the binomial distribution of n and p. A constant predictor scores some class's share and
    is always among them; of guesses that ignore the images 1 in 100 at most is not. On few test images the bound lies
    high: what is below it cannot be told from luck there.

    n and p are those recorded with each trial, whatever its data. Trials of stores that are older than that record
    have those of the catalog; of data that are in neither nothing is known, and no trial is called collapsed.
    """
    if names.TEST_ACC not in trials:
        return pd.Series(False, index=trials.index)
    # Plain arrays: arms are short, there are many, and each step of pandas costs more than all of this.
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
    """The largest class's share and the number of test images, by trial; NaN where nothing says them."""
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
    """Right answers that luck alone exceeds once in a hundred times at most; NaN where the data are not known."""
    from scipy.stats import binom

    return float(binom.ppf(LUCK, images, share))


def succeeded(trials: pd.DataFrame) -> pd.Series[bool]:
    """Which trials finished and did not collapse."""
    return pd.Series((trials["status"].to_numpy() == "finished") & ~collapsed(trials).to_numpy(), index=trials.index)


def count_outcomes(trials: pd.DataFrame) -> Outcomes:
    """How the trials ended."""
    return Outcomes(len(trials), **Counter(trials["status"]), collapsed=int(collapsed(trials).sum()))
