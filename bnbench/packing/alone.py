"""Which networks of the user's own are trained alone, and why; asks torch only about those."""

from __future__ import annotations

from bnbench.config import Trial
from bnbench.data import dataset_info

__all__ = ["why_alone"]


def why_alone(trial: Trial) -> str | None:
    """Why a trial cannot be trained beside others, or None.

    bnbench's own networks and norms can. One of the user's own is tried: three of it, packed and alone.
    """
    if trial.model.name != "custom" and trial.norm.name != "custom":
        return None
    from bnbench.packing.trying import reason_against_packs

    info = dataset_info(trial.data)
    return reason_against_packs(trial, info.shape, info.classes)
