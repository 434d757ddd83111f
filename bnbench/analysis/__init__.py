"""Statistics over a sweep's table. Nothing here imports torch or mlflow."""

from bnbench.analysis.censored import (
    StepsComparison,
    compare_steps,
    expected_running_time,
    median_steps,
    quartiles,
    reach_curve,
    restricted_mean,
)
from bnbench.analysis.contrast import Contrast, compare_levels, contrast, differences, tuned_differences
from bnbench.analysis.improvement import interquartile_mean, performance_profile, probability_of_improvement
from bnbench.analysis.intervals import (
    Interval,
    bootstrap_t_interval,
    exact_proportion_interval,
    mean_interval,
    paired_difference,
    proportion_interval,
    skewness,
)
from bnbench.analysis.outcomes import collapsed, succeeded
from bnbench.analysis.power import detectable_difference, paired_t_power, pairs_needed
from bnbench.analysis.profiles import accuracy_profiles
from bnbench.analysis.robustness import robustness, robustness_sentence
from bnbench.analysis.significance import equivalence_p, holm, mcnemar_p, paired_t_p, seeds_suffice, sign_flip_p
from bnbench.analysis.steps import (
    StepsContrast,
    contrast_steps,
    reach_summary,
    step_ratios,
    steps_to_target,
    target_outcomes,
)
from bnbench.analysis.summary import arms, contrasts
from bnbench.analysis.table import level_labels, levels, strata, targets
from bnbench.analysis.tuning import tuned_learning_rates
from bnbench.analysis.windows import learning_rate_windows, window_differences
from bnbench.table import SweepTable

__all__ = [
    "Contrast",
    "Interval",
    "StepsComparison",
    "StepsContrast",
    "SweepTable",
    "accuracy_profiles",
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
    "exact_proportion_interval",
    "expected_running_time",
    "holm",
    "interquartile_mean",
    "learning_rate_windows",
    "level_labels",
    "levels",
    "mcnemar_p",
    "mean_interval",
    "median_steps",
    "paired_difference",
    "paired_t_p",
    "paired_t_power",
    "pairs_needed",
    "performance_profile",
    "probability_of_improvement",
    "proportion_interval",
    "quartiles",
    "reach_curve",
    "reach_summary",
    "restricted_mean",
    "robustness",
    "robustness_sentence",
    "seeds_suffice",
    "sign_flip_p",
    "skewness",
    "step_ratios",
    "steps_to_target",
    "strata",
    "succeeded",
    "target_outcomes",
    "targets",
    "tuned_differences",
    "tuned_learning_rates",
    "window_differences",
]
