"""Which sides take part: the lanes and JAX know some workloads only, and are not there on every machine."""

from __future__ import annotations

from importlib.util import find_spec

from bnbench.bench.workloads import Workload, trials_of
from bnbench.config import Activation, Averaging, Engine, Loss, Scaling, Trial
from bnbench.lanes.library import why_no_kernels

_ALWAYS = ("usual", "handwritten", "torch")


def taking_part(workload: Workload) -> tuple[str, ...]:
    """The names of the sides that train a workload."""
    (trial,) = trials_of(workload.overrides, [0])
    lanes = why_no_lanes() is None and trial.training.engine == Engine.lanes
    jax = lanes and why_no_jax() is None and known_to_jax(trial)
    return (*_ALWAYS, *(["lanes"] if lanes else []), *(["jax"] if jax else []))


def why_no_lanes() -> str | None:
    """In one line why no workload is trained by the lanes; None where some are."""
    reason = why_no_kernels()
    return reason and f"lanes: left out, {reason}"


def why_no_jax() -> str | None:
    """In one line why no workload is trained by JAX; None where some are."""
    if why_no_lanes():
        return "jax: left out, it is compared with the lanes"
    return None if find_spec("jax") else "jax: left out, it is not installed; pip install 'bnbench[bench]'"


def known_to_jax(trial: Trial) -> bool:
    """Whether the JAX side trains what this trial, one of the lanes', does."""
    return (
        trial.model.name == "fc"
        and trial.model.activation == Activation.relu
        and trial.norm.averaging == Averaging.exponential
        and (trial.norm.name == "none" or (trial.norm.name == "batch" and trial.training.batch_size > 1))
        and trial.training.loss == Loss.softmax
        and trial.optimizer.name == "sgd"
        and trial.optimizer.weight_decay == 0
        and trial.schedule.name == "constant"
        and trial.data.scaling != Scaling.standard  # it would differ between trials
    )
