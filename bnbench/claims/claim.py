"""A claim: a sentence about normalization with its source, and the tests that decide it; imports no pandas."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from bnbench.config.schema import DEFAULT_MAX_SEEDS

_Text = Annotated[str, Field(pattern=r"\S")]  # a text that is not blank
_NO_OTHER_KEYS = ConfigDict(extra="forbid")  # a claim file with an unknown key is refused, see `claim_files`


class Verdict(StrEnum):
    """What the data say of a claim."""

    supported = "supported"
    refuted = "refuted"
    equivalent = "equivalent"
    depends = "depends"  # settled in every setting, and not alike
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
    near = "near"  # steps of a / steps of b is `value`, up to a factor `margin`
    success = "success"  # a is trained more often than b
    computed = "computed"  # checked by code: algebra, or counts


class Statistic(StrEnum):
    """How a seed's trials, which differ in the params `along`, become one number before arms are compared."""

    value = "value"  # the measure of the seed's only trial
    mean = "mean"
    range = "range"  # largest minus smallest
    slope = "slope"  # least-squares slope, per unit of `along`
    log_slope = "log_slope"  # least-squares slope, per doubling of `along`
    window = "window"  # decades of `along` between the smallest and the largest value that trained
    best_of_8 = "best_of_8"  # expected maximum over 8 points drawn at random
    share = "share"  # share of the points within 2 percentage points of the best one of the same arm and seed


class At(StrEnum):
    """Which of a curve's values counts."""

    start = "start"  # the first, before training
    end = "end"  # the last
    mean = "mean"  # the mean over the steps at which it was measured
    max = "max"


class Rates(StrEnum):
    """At which learning rates two arms are compared."""

    matched = "matched"  # at each learning rate, the same in both arms
    best = "best"  # at each arm's own best, chosen on tuning seeds
    best_of_a = "best_of_a"  # both arms at the best of a
    best_of_b = "best_of_b"  # both arms at the best of b


class Strata(StrEnum):
    """In how many of the settings a test must hold."""

    all = "all"
    any = "any"


class Combine(StrEnum):
    """How the deciding tests make one verdict."""

    conditions = "conditions"  # the claim needs all of them: it is refuted if one is
    settings = "settings"  # each tests the claim in one setting: it depends if one is supported and another refuted


@dataclass(frozen=True)
class Margin:
    """The smallest effect that matters, in the unit it is written with: `0.5 pp`, `1.25 times`."""

    value: float
    unit: str

    @property
    def size(self) -> float:
        """The margin's value in the unit of the measure: percentage points become a fraction."""
        return self.value / 100 if self.unit == "pp" else self.value

    @classmethod
    def of(cls, text: Any) -> Margin:
        """Parse a margin from its text, such as `0.5 pp`.

        Raises:
            ValueError: If the text is no number with a unit.
        """
        match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e-?\d+)?) +(\S.*)", str(text).strip())
        if not match:
            raise ValueError("give a number >= 0 and its unit: 0.5 pp")
        return cls(float(match[1]), match[2].strip())

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


@dataclass(frozen=True)
class Test:
    """One comparison that a claim rests on.

    Attributes:
        kind: How the verdict follows from the differences.
        name: What is tested, in a few words.
        contrast: `a - b`, with two levels of the sweep; or one level `a`, whose own values are tested.
        measure: A metric key; `x - y` of two keys; `|x|`; or `trained` or `diverged`, which are 0 or 1.
            `steps_to/val_acc`, `steps_sustained/val_acc` and `seconds_to/val_acc` stand for every target.
        at: Which value of a curve counts, where the measure is one.
        margin: The smallest effect that matters.
        statistic: How a seed's trials along `along` become one number.
        along: The params that the statistic runs over.
        where: The params' values that this test is about; a trial without such a param is kept.
        rates: At which learning rates the arms are compared.
        strata: Whether it must hold in all settings or in any.
        value: What the ratio should be; only for `kind=near`.
        check: Which check is computed; only for `kind=computed`.
        decides: Whether the claim's verdict rests on it; if not, it is only reported.
        missing: What bnbench lacks to run it; empty if nothing.
    """

    __test__ = False  # keeps pytest from collecting the class as a test case
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
    """A claim as its file states it.

    Attributes:
        id: The file's name.
        title: What normalization is said to do, to be read after "Batch norm".
        sentence: The claim in full.
        source: Where the claim is made.
        sweep: The sweep it is judged on.
        criterion: When it is supported, in words.
        tests: The tests that decide it, and others that are only reported.
        combine: How the tests that decide make one verdict.
        premise: A test of what the claim takes for granted; if it is refuted, the claim is not testable as worded.
        max_seeds: The cap on the seeds of an arm, where its sweep goes on until its claims are settled.
        published: Numbers from the literature, shown beside ours.
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
    max_seeds: Annotated[StrictInt, Field(ge=10)] = DEFAULT_MAX_SEEDS  # the first look is at 10 seeds
    published: tuple[Published, ...] = ()

    @property
    def hash(self) -> str:
        """12 hex digits of the hash of all keys that decide the verdict: title, source and published numbers do not.

        The cap stands in it where it is not the default, which is that of claims recorded before there were caps.
        """
        decisive = {key: value for key, value in asdict(self).items() if key not in {"title", "source", "published"}}
        if self.max_seeds == DEFAULT_MAX_SEEDS:
            del decisive["max_seeds"]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def missing(self) -> tuple[str, ...]:
        """What bnbench lacks to decide the claim; empty where its premise can be tested, as that may settle it."""
        if self.premise and not self.premise.missing:
            return ()
        tests = [*self.tests, *([self.premise] if self.premise else [])]
        return tuple(dict.fromkeys(test.missing for test in tests if test.missing and test.decides))
