"""One property's outcome, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a property came out."""

    holds = "holds"
    differs = "differs"
    refused = "refused"
    convention = "convention"
    """A choice that frameworks make differently, named."""


@dataclass(frozen=True)
class Row:
    """One property.

    Attributes:
        group: What it belongs to.
        name: The property.
        status: How it came out.
        said: In words: what holds, how it differs, or the message of the refusal.
        error: The largest difference from the judge, where there is one.
        explained: The formula or convention that gives what the layer gave, where one does.
        smallest: The smallest input tried that shows the difference.
        required: Whether a refusal is a fault too.
    """

    group: str
    name: str
    status: Status
    said: str
    error: float | None = None
    explained: str = ""
    smallest: str = ""
    required: bool = False

    @property
    def fails(self) -> bool:
        """Whether it is a fault: a difference, or a refusal of what every batch norm does."""
        return self.status == Status.differs or (self.required and self.status == Status.refused)

    @property
    def words(self) -> str:
        """Everything that is said about it, in one paragraph."""
        smallest = f"smallest input: {self.smallest}" if self.smallest else ""
        return "; ".join(filter(None, [self.said, self.explained, smallest]))


@dataclass(frozen=True)
class Report:
    """All properties of one implementation.

    Attributes:
        name: What was checked, `package.module:name`.
        framework: Of which framework it is.
        versions: Of the packages that computed.
        arguments: The constructor's arguments that were given.
        like: The framework whose conventions were asked for, or None.
        rows: The properties in their order.
    """

    name: str
    framework: str
    versions: Mapping[str, str]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    like: str | None = None
    rows: Sequence[Row] = ()

    @property
    def faults(self) -> list[Row]:
        """The rows that are faults."""
        return [row for row in self.rows if row.fails]

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        counts = {status: sum(row.status == status for row in self.rows) for status in Status}
        names = ", ".join(row.name for row in self.faults)
        rest = (
            f"{counts[Status.holds]} hold, {counts[Status.differs]} differ, {counts[Status.refused]} refused, "
            f"{counts[Status.convention]} conventions named"
        )
        return f"{rest}; at fault: {names}" if names else f"{rest}; nothing is at fault"

    def named(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        rows = [{**vars(row), "fails": row.fails} for row in self.rows]
        return {**vars(self), "rows": rows, "verdict": self.verdict, "fails": bool(self.faults)}
