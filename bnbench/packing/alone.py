"""Which networks of the user's own are trained alone, and why; asks torch only about those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnbench.config import Trial
from bnbench.data import dataset_info
from bnbench.models.geometry import work

if TYPE_CHECKING:
    from bnbench.packing.rehearsal import Rehearsal

_MOST_WEIGHTS = (
    2_000_000  # a pack saves what steps of small networks mostly are, overhead; trying a large one takes long
)


def rehearsal(trial: Trial) -> Rehearsal | None:
    """What two steps of a network or norm of the user's own showed; None of bnbench's.

    Raises:
        ConfigError: If it cannot be trained as it is.
    """
    if trial.model.name != "custom" and trial.norm.name != "custom":
        return None
    from bnbench.packing.rehearsal import rehearse

    info = dataset_info(trial.data)
    return rehearse(trial, info.shape, info.classes)


def why_alone(trial: Trial) -> str | None:
    """Why a trial cannot be trained beside others, or None.

    bnbench's own networks and norms can. One of the user's own is tried: three of it, packed and alone; on one thread,
    as workers train, so that every process finds the same.

    Raises:
        ConfigError: If it cannot be trained at all as it is.
    """
    found = rehearsal(trial)
    if found is None:
        return None
    from bnbench.packing.trying import reason_against_packs

    info = dataset_info(trial.data)
    if found.draws or found.draws_evaluating:
        return "its forward draws random numbers itself"
    if found.changes or found.lost:
        return f"a step changes {[*found.changes, *found.lost][0]}, which is no buffer"
    weights = work(trial.model, info.shape, info.classes).weights
    if weights > _MOST_WEIGHTS:
        return f"{weights:,} weights, with which a pack gains nothing"
    return reason_against_packs(trial, info.shape, info.classes)
