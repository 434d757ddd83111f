"""On how many validation images a sweep's trials were evaluated."""

from __future__ import annotations

from bnbench.analysis import SweepTable
from bnbench.record import names


def validation_images(table: SweepTable) -> tuple[str, str] | None:
    """The numbers of images of the evaluation after the last step and of those along the curves: `500`, `148 to 349`.

    None where no trial was trained, or all were trained before these numbers were recorded.
    """
    trials = table.trials
    if names.VAL_IMAGES not in trials or trials[names.VAL_IMAGES].isna().all():
        return None
    return _span(trials[names.VAL_IMAGES].dropna().tolist()), _span(trials[names.VAL_IMAGES_CURVE].dropna().tolist())


def _span(numbers: list[float]) -> str:
    low, high = int(min(numbers)), int(max(numbers))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
