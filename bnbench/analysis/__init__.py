"""Statistics over a sweep's table. Nothing here imports torch or mlflow."""

from bnbench.analysis.censored import StepsComparison, compare_steps
from bnbench.analysis.contrast import Contrast, compare_levels, contrast, differences, tuned_differences
from bnbench.analysis.intervals import (
    Interval,
    bootstrap_t_interval,
    mean_interval,
    paired_difference,
    proportion_interval,
    skewness,
)
from bnbench.analysis.levels import level_labels, levels, strata, targets
from bnbench.analysis.outcomes import collapsed, succeeded
from bnbench.analysis.power import detectable_difference, paired_t_power
from bnbench.analysis.robustness import robustness
from bnbench.analysis.significance import equivalence_p, holm, mcnemar_p, paired_t_p, seeds_suffice, sign_flip_p
from bnbench.analysis.steps import StepsContrast, contrast_steps, steps_to_target
from bnbench.analysis.summary import arms, contrasts
from bnbench.analysis.tuning import tuned_learning_rates
from bnbench.analysis.windows import learning_rate_windows, window_differences
from bnbench.record.sweep_table import SweepTable

__all__ = [
    "Contrast",
    "Interval",
    "StepsComparison",
    "StepsContrast",
    "SweepTable",
    "arms",
    "bootstrap_t_interval",
    "collapsed",
    "compare_levels",
    "compare_steps",
    "contrast",
    "contrast_steps",
    "contrasts",
    "detectable_difference",
    "differences",
    "equivalence_p",
    "holm",
    "learning_rate_windows",
    "level_labels",
    "levels",
    "mcnemar_p",
    "mean_interval",
    "paired_difference",
    "paired_t_p",
    "paired_t_power",
    "proportion_interval",
    "robustness",
    "seeds_suffice",
    "sign_flip_p",
    "skewness",
    "steps_to_target",
    "strata",
    "succeeded",
    "targets",
    "tuned_differences",
    "tuned_learning_rates",
    "window_differences",
]
