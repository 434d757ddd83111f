"""Statistics over a sweep's table. Nothing here imports torch or mlflow."""

from bnbench.analysis.arms import Arm
from bnbench.analysis.censored import StepsComparison, compare_steps
from bnbench.analysis.contrast import Contrast
from bnbench.analysis.design import Design
from bnbench.analysis.intervals import (
    Interval,
    bootstrap_t_interval,
    mean_interval,
    paired_difference,
    proportion_interval,
    skewness,
)
from bnbench.analysis.of_sweep import Analysis
from bnbench.analysis.outcomes import collapsed, succeeded
from bnbench.analysis.power import detectable_difference, paired_t_power
from bnbench.analysis.robustness import Choice
from bnbench.analysis.significance import equivalence_p, holm, mcnemar_p, paired_t_p, seeds_suffice, sign_flip_p
from bnbench.analysis.steps import StepsContrast
from bnbench.record.sweep_table import SweepTable

__all__ = [
    "Analysis",
    "Arm",
    "Choice",
    "Contrast",
    "Design",
    "Interval",
    "StepsComparison",
    "StepsContrast",
    "SweepTable",
    "bootstrap_t_interval",
    "collapsed",
    "compare_steps",
    "detectable_difference",
    "equivalence_p",
    "holm",
    "mcnemar_p",
    "mean_interval",
    "paired_difference",
    "paired_t_p",
    "paired_t_power",
    "proportion_interval",
    "seeds_suffice",
    "sign_flip_p",
    "skewness",
    "succeeded",
]
