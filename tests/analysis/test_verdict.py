"""What a paired difference may be read as, and which doubts it is read with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from bnbench.analysis import Contrast
from bnbench.analysis.contrast import Side
from bnbench.analysis.outcomes import Outcomes
from bnbench.analysis.tuning import TunedRate
from bnbench.analysis.verdict import Doubt, Reading, judge_contrast
from bnbench.record import names

TEN = Outcomes(planned=10, finished=10)
AHEAD = [0.02 + 0.001 * i for i in range(10)]


def contrast(
    differences: Sequence[float],
    *,
    outcomes: Outcomes = TEN,
    at_edge: bool = False,
    family: int = 0,
    adjusted_p: float = float("nan"),
) -> Contrast:
    own = TunedRate({}, "a", rate=1.0, at_edge=at_edge)
    sides: Any = (Side("a", outcomes, own), Side("b", TEN, own))
    values = pd.Series(differences, dtype=float)
    return Contrast({}, sides, names.TEST_ACC, values, p_mcnemar=1.0, family=family, adjusted_p=adjusted_p)


@pytest.mark.parametrize(
    ("found", "reading", "doubts"),
    [
        (contrast(AHEAD), Reading.a_leads, ()),
        (contrast([-d for d in AHEAD]), Reading.b_leads, ()),
        (contrast([d - 0.0245 for d in AHEAD]), Reading.unclear, ()),
        (contrast([0.01] * 10), Reading.equal, ()),
        (contrast([0.01]), Reading.one_pair, ()),
        (contrast([]), Reading.no_pair, ()),
        (contrast(AHEAD, outcomes=Outcomes(10, finished=9, diverged=1)), Reading.failed, ()),
        (contrast(AHEAD, outcomes=Outcomes(10, finished=10, collapsed=1)), Reading.failed, ()),
        (contrast(AHEAD, at_edge=True), Reading.a_leads, (Doubt.at_edge,)),
        (contrast([0.01] * 10, at_edge=True), Reading.equal, (Doubt.at_edge,)),
        (contrast(AHEAD[:5]), Reading.a_leads, (Doubt.few_seeds,)),
        (contrast(AHEAD, family=26, adjusted_p=0.001), Reading.a_leads, (Doubt.few_seeds,)),
        (contrast(AHEAD, family=25, adjusted_p=0.06), Reading.a_leads, (Doubt.not_corrected,)),
        (contrast(AHEAD, family=25, adjusted_p=0.05), Reading.a_leads, ()),
        (contrast(AHEAD[:5], at_edge=True), Reading.a_leads, (Doubt.at_edge, Doubt.few_seeds)),
    ],
)
def test_a_difference_is_read_no_further_than_it_goes(
    found: Contrast, reading: Reading, doubts: tuple[Doubt, ...]
) -> None:
    verdict = judge_contrast(found)
    assert verdict == (reading, doubts)
    assert verdict.firm == (reading != Reading.failed and not doubts)
