"""A claim: a sentence about normalization with its source, and the tests that decide it; imports no pandas."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

_Text = Annotated[str, Field(pattern=r"\S")]  # which is not blank
_NO_OTHER_KEYS = ConfigDict(extra="forbid")  # of a file, see `claim_files`


class Verdict(StrEnum):
    """What the data say of a claim."""

    supported = "supported"
    refuted = "refuted"
    equivalent = "equivalent"
    depends = "depends"
    inconclusive = "inconclusive"
    exact = "exact"
    undefined = "undefined"
    untestable = "not testable as worded"


class Kind(StrEnum):
    """How a test turns paired differences into a verdict."""

    greater = "greater"  # a - b > margin
    two_sided = "two_sided"  # a winner beyond the margin either way, or equivalent within it
    equivalent = "equivalent"  # |a - b| < margin is what the claim says
    ratio = "ratio"  # steps of a / steps of b > margin, with runs that never reach the target
    near = "near"  # the ratio is `value`, known to a factor `margin`
    success = "success"  # a is trained more often than b
    computed = "computed"  # checked by code: algebra, or counts


class Statistic(StrEnum):
    """What becomes of a seed's trials along `along` before arms are compared."""

    value = "value"  # one trial a seed: its measure
    mean = "mean"
    range = "range"  # largest minus smallest
    slope = "slope"  # least squares, a unit of `along`
    log_slope = "log_slope"  # least squares, a doubling of `along`
    window = "window"  # decades of `along` between the smallest and the largest value that trained
    best_of_8 = "best_of_8"  # the largest of 8 random points, expected
    share = "share"  # of the settings that come within 2 percentage points of the arm's own best


class At(StrEnum):
    """Which of the values of a curve counts."""

    start = "start"  # the first, before training
    end = "end"  # the last
    mean = "mean"  # over the steps it was measured on
    max = "max"


class Rates(StrEnum):
    """Which learning rates are compared."""

    matched = "matched"  # each, with itself
    best = "best"  # each arm's own, chosen on tuning seeds
    best_of_a = "best_of_a"  # a's, in both arms
    best_of_b = "best_of_b"


class Strata(StrEnum):
    """In how many of the settings a test must hold."""

    all = "all"
    any = "any"


class Combine(StrEnum):
    """How the deciding tests make one verdict."""

    conditions = "conditions"  # the claim says all of them: one refuted refutes it
    settings = "settings"  # each is a setting of the same claim: supported in one and refuted in another, it depends


@dataclass(frozen=True)
class Margin:
    """The smallest effect that matters, in the unit it is written with: `0.5 pp`, `1.25 times`."""

    value: float
    unit: str

    @property
    def size(self) -> float:
        """In the unit of the measure: percentage points become a fraction."""
        return self.value / 100 if self.unit == "pp" else self.value

    @classmethod
    def of(cls, text: Any) -> Margin:
        """The margin as it is written.

        Raises:
            ValueError: If it is no number with a unit.
        """
        match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e-?\d+)?) +(\S.*)", str(text).strip())
        if not match:
            raise ValueError("give a number >= 0 and its unit: 0.5 pp")
        return cls(float(match[1]), match[2].strip())

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


@dataclass(frozen=True)
class Test:
    """One comparison that a claim stands on.

    Attributes:
        kind: How the verdict follows from the differences.
        name: What is tested, in a few words.
        contrast: `a - b` by the levels of the sweep; or one level `a`, whose own values are tested.
        measure: A metric key; `x - y` of two; `|x|`; or `trained` and `diverged`, which are 0 or 1.
            `steps_to/val_acc`, `steps_sustained/val_acc` and `seconds_to/val_acc` stand for every target.
        at: Which value of a curve counts, where the measure is one.
        margin: The smallest effect that matters.
        statistic: What a seed's trials become along `along`.
        along: The params that the statistic runs over.
        where: The params' values that this test is about; a trial without such a param is kept.
        rates: Which learning rates are compared.
        strata: In how many settings it must hold.
        value: What the ratio should be (`near`).
        check: What is computed (`computed`).
        decides: Whether the claim's verdict rests on it; otherwise it is reported beside.
        missing: What the harness lacks to run it; empty if nothing.
    """

    __test__ = False  # no test case, whatever pytest may think of the name
    __pydantic_config__: ClassVar = _NO_OTHER_KEYS

    kind: Kind
    name: _Text
    contrast: str = ""
    measure: str = "test/acc"
    at: At | None = None
    margin: Annotated[Margin, BeforeValidator(Margin.of)] | None = None
    statistic: Statistic = Statistic.value
    along: Annotated[tuple[str, ...], BeforeValidator(lambda one: [one] if isinstance(one, str) else one)] = ()
    where: dict[str, Any] = field(default_factory=dict)
    rates: Rates = Rates.matched
    strata: Strata = Strata.all
    value: StrictInt | StrictFloat | None = None
    check: str = ""
    decides: StrictBool = True
    missing: str = ""

    @property
    def levels(self) -> tuple[str, str | None]:
        """The contrast's a and b; b is None where a's own values are tested."""
        a, _, b = self.contrast.partition(" - ")
        return a.strip(), b.strip() or None


@dataclass(frozen=True)
class Published:
    """A number from the literature, to stand beside ours."""

    __pydantic_config__: ClassVar = _NO_OTHER_KEYS

    source: _Text
    what: _Text
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A claim, as its file has it.

    Attributes:
        id: The file's name.
        title: What normalization is said to do, to be read after "Batch norm".
        sentence: The claim in full.
        source: Who says so.
        sweep: The sweep it is judged on.
        criterion: When it is supported, in words.
        tests: What decides it, and what is reported beside.
        combine: How the tests that decide make one verdict.
        premise: What must hold for the claim to have a meaning; refuted, it is not testable as worded.
        published: Numbers to stand beside ours.
    """

    __pydantic_config__: ClassVar = _NO_OTHER_KEYS

    id: str
    title: _Text
    sentence: _Text
    source: _Text
    sweep: _Text
    criterion: _Text
    tests: Annotated[tuple[Test, ...], Field(min_length=1)]
    combine: Combine = Combine.conditions
    premise: Test | None = None
    published: tuple[Published, ...] = ()

    @property
    def hash(self) -> str:
        """12 hex digits of all that decides the verdict: a source cited later changes nothing."""
        decisive = {key: value for key, value in asdict(self).items() if key not in {"title", "source", "published"}}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def missing(self) -> tuple[str, ...]:
        """What the harness lacks to decide it; nothing where its premise can be tested, which may settle it."""
        if self.premise and not self.premise.missing:
            return ()
        tests = [*self.tests, *([self.premise] if self.premise else [])]
        return tuple(dict.fromkeys(test.missing for test in tests if test.missing and test.decides))
