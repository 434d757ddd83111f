"""The trials of a pack, by slot; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnbench.config import Trial


@dataclass(frozen=True)
class PackedTrials:
    """The trial of each slot of a pack, and what all of them agree on.

    Args:
        by_slot: The trials in the order of their slots.

    Raises:
        ValueError: If two of the trials differ in `Trial.signature`.
    """

    by_slot: Sequence[Trial]

    def __post_init__(self) -> None:
        if len({trial.signature for trial in self.by_slot}) != 1:
            raise ValueError("the trials of a pack must agree on Trial.signature")

    @property
    def shared(self) -> Trial:
        """The first trial, to be read for what all of them agree on: every key that is not in `VARIES_IN_PACK`."""
        return self.by_slot[0]

    def padded(self, slots: int) -> PackedTrials:
        """The trials of a pack of so many slots: the last one is trained again in each slot beyond the trials."""
        return PackedTrials([*self.by_slot, *[self.by_slot[-1]] * (slots - len(self.by_slot))])

    def select(self, slots: Sequence[int]) -> PackedTrials:
        """The trials of some of the slots."""
        return PackedTrials([self.by_slot[slot] for slot in slots])
