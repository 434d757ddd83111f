"""Which networks of the user's own are trained alone, and why; asks torch only about those."""

from __future__ import annotations

from bnbench.config import Trial
from bnbench.data import dataset_info
from bnbench.models.geometry import work

__all__ = ["why_alone"]

_MOST_WEIGHTS = (
    2_000_000  # a pack saves what steps of small networks mostly are, overhead; trying a large one takes long
)


def why_alone(trial: Trial) -> str | None:
    """Why a trial cannot be trained beside others, or None.

    bnbench's own networks and norms can. One of the user's own is tried: three of it, packed and alone.
    """
    if trial.model.name != "custom" and trial.norm.name != "custom":
        return None
    from bnbench.packing.trying import reason_against_packs

    info = dataset_info(trial.data)
    weights = work(trial.model, info.shape, info.classes).weights
    if weights > _MOST_WEIGHTS:
        return f"{weights:,} weights, with which a pack gains nothing"
    return reason_against_packs(trial, info.shape, info.classes)
