"""What a sequential design decides on: each contrast's pairs in the order in which their seeds are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.outcomes import succeeded
from bnbench.analysis.paired_arms import TwoArms
from bnbench.record import names
from bnbench.record.planned_trial import MISSING


@dataclass(frozen=True, eq=False)
class PairedOutcomes:
    """The pairs of one contrast a - b, in the order in which their seeds are trained.

    Attributes:
        differences: a - b of each seed's pair, shape (n,); NaN where not both trials succeeded.
        trained_a: Whether a's trial succeeded, 1 or 0, shape (n,); NaN where it neither finished nor diverged.
        trained_b: The same for b.
        ended: Whether both trials of the pair ended, in whatever way, shape (n,): a pair still to be trained has not.
        margin: The smallest difference that matters, > 0, in the unit of the differences; None asks only whether there
            is a difference.
        where: The stratum, as its params' values by key.
        a: The level that b is subtracted from.
        b: The level that is subtracted.
    """

    differences: np.ndarray
    trained_a: np.ndarray
    trained_b: np.ndarray
    ended: np.ndarray
    margin: float | None = None
    where: dict[str, Any] = field(default_factory=dict)
    a: str = "a"
    b: str = "b"

    def __post_init__(self) -> None:
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"margin={self.margin} is not allowed; equivalence needs a margin > 0")

    @classmethod
    def of_differences(cls, differences: Sequence[float] | np.ndarray, margin: float | None = None) -> PairedOutcomes:
        """The pairs of a contrast of which every trial succeeded."""
        d = np.asarray(differences, dtype=float)
        return cls(d, np.ones(len(d)), np.ones(len(d)), np.ones(len(d), dtype=bool), margin)

    @property
    def complete(self) -> int:
        """How many of the first pairs have ended without a gap: a look at so many can be taken."""
        return int(np.argmin(np.append(self.ended, False)))

    def first(self, pairs: int) -> PairedOutcomes:
        """The same contrast as it stood after its first pairs."""
        parts = ("differences", "trained_a", "trained_b", "ended")
        return replace(self, **{part: getattr(self, part)[:pairs] for part in parts})

    @property
    def failed(self) -> bool:
        """Whether a trial of either arm diverged or collapsed: success rates then decide."""
        return bool((self.trained_a == 0).any() or (self.trained_b == 0).any())

    @property
    def only_a(self) -> int:
        """The number of pairs in which only a succeeded."""
        return int(((self.trained_a == 1) & (self.trained_b == 0)).sum())

    @property
    def only_b(self) -> int:
        """The number of pairs in which only b succeeded."""
        return int(((self.trained_a == 0) & (self.trained_b == 1)).sum())


def paired_outcomes(arms: TwoArms, margin: float | None) -> PairedOutcomes:
    """The pairs of two arms, compared by test accuracy.

    Args:
        arms: The two arms.
        margin: The smallest difference in test accuracy that matters, as a fraction; None for no margin.
    """
    by_seed = [_by_seed(trials) for trials in arms.trials]
    seeds = by_seed[0].index.intersection(by_seed[1].index).sort_values()
    a, b = (frame.loc[seeds] for frame in by_seed)
    return PairedOutcomes(
        differences=(a["accuracy"] - b["accuracy"]).to_numpy(),
        trained_a=a["trained"].to_numpy(),
        trained_b=b["trained"].to_numpy(),
        ended=(a["ended"] & b["ended"]).to_numpy(),
        margin=margin,
        where=arms.where,
        a=arms.levels[0],
        b=arms.levels[1],
    )


def _by_seed(trials: pd.DataFrame) -> pd.DataFrame:
    status, success = trials["status"].to_numpy(), succeeded(trials).to_numpy()
    accuracy = trials[names.TEST_ACC].to_numpy(dtype=float) if names.TEST_ACC in trials else np.nan
    columns = {
        "accuracy": np.where(success, accuracy, np.nan),
        "trained": np.where(np.isin(status, ["finished", "diverged"]), success.astype(float), np.nan),
        "ended": status != MISSING,
    }
    return pd.DataFrame(columns, index=trials["seed"].to_numpy())
