"""Statistics over a sweep's table. Nothing here imports torch or mlflow."""

from bnbench.analysis.intervals import Interval, mean_interval, paired_difference, proportion_interval
from bnbench.analysis.summary import arms, contrasts, differences
from bnbench.analysis.table import level_labels, levels, strata, targets
from bnbench.analysis.tuning import tuned_differences, tuned_learning_rates
from bnbench.table import SweepTable

__all__ = [
    "Interval",
    "SweepTable",
    "arms",
    "contrasts",
    "differences",
    "level_labels",
    "levels",
    "mean_interval",
    "paired_difference",
    "proportion_interval",
    "strata",
    "targets",
    "tuned_differences",
    "tuned_learning_rates",
]
