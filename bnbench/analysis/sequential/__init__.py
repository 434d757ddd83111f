"""Sweeps that go on until they are settled: when they look, what settles a contrast, and what is told of it."""

from bnbench.analysis.sequential.looks import looks_up_to
from bnbench.analysis.sequential.paired_outcomes import PairedOutcomes, paired_outcomes
from bnbench.analysis.sequential.settle import SequentialDesign, settle
from bnbench.analysis.sequential.settlement import Settlement, State

__all__ = ["PairedOutcomes", "SequentialDesign", "Settlement", "State", "looks_up_to", "paired_outcomes", "settle"]
