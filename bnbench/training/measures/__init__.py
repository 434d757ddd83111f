"""What is measured of a trial, as pure functions."""

from bnbench.training.measures.convergence import summarize_curve

__all__ = ["summarize_curve"]
