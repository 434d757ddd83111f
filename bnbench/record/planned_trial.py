"""A trial as a sweep plans it, before it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MISSING = "missing"
"""The status of a planned trial that is not trained yet: the store has no run of it that ended."""


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a sweep's plan.

    Attributes:
        key: The trial's key.
        params: What defines the trial, by dotted config key.
        arm: The trial's arm in words; empty where an older bnbench did not record it.
        reused: Whether another sweep trained it.
        undefined: Why the trial has no result by definition and is not trained; None if it can be trained.
    """

    key: str
    params: dict[str, Any]
    arm: str = ""
    reused: bool = False
    undefined: str | None = None

    @property
    def status(self) -> str:
        """The trial's status while the store has no run of it: "undefined" or "missing"."""
        return MISSING if self.undefined is None else "undefined"

    @property
    def seed(self) -> int:
        """The trial's seed."""
        return int(self.params["seed"])

    def to_json(self) -> dict[str, Any]:
        """The trial as plain values; fields that have their default are left out."""
        values: dict[str, Any] = {"key": self.key, "params": self.params}
        if self.arm:
            values["arm"] = self.arm
        if self.reused:
            values["reused"] = True
        if self.undefined is not None:
            values |= {"status": "undefined", "reason": self.undefined}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PlannedTrial:
        """The trial that `to_json` wrote, of this bnbench or another.

        Raises:
            KeyError: If it has no key or no params.
        """
        undefined = values["reason"] if values.get("status") == "undefined" else None
        return cls(values["key"], values["params"], values.get("arm", ""), values.get("reused", False), undefined)
