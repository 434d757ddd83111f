"""What is recorded of a sweep beside its trials: what was asked, where it ran, what was planned, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class DataRecord:
    """The images of one data set.

    Attributes:
        checksum: Of the images, and after a colon of their split.
        train: Images that trials train on; the most of any trial where these differ.
        val_curve: The numbers of validation images that evaluations along the curves are on; empty where an older
            bnbench did not record them.
        largest_class: The share of the test images that are of their largest class; None where an older bnbench did
            not record it.
    """

    name: str
    source: str
    checksum: str
    train: int
    val: int
    test: int
    val_curve: list[int] = field(default_factory=list)
    largest_class: float | None = None


@dataclass(frozen=True)
class ClaimRecord:
    """A claim as it stood when the sweep was started.

    Attributes:
        hash: Of its text.
        text: Its file, as plain JSON.
        left_out: How many trials of the claim's sweep file are not in the sweep: it is judged only where none is.
    """

    hash: str
    text: dict[str, Any]
    left_out: int = 0


@dataclass(frozen=True)
class EarlierSweep:
    """A sweep of the same name that came before one which reuses its trials.

    Attributes:
        created: In ISO 8601, UTC.
        status: MLflow's, of its run.
        seeds: The reporting seeds that it planned.
        claims: By id, the hashes of the claims that it recorded.
    """

    id: str
    created: str
    status: str
    seeds: list[int]
    claims: dict[str, str]


@dataclass(frozen=True)
class Asked:
    """What a sweep was asked to find out.

    Attributes:
        config: The composed configuration, as plain JSON.
        compare: The keys that tell its levels apart.
        contrasts: The pairs of levels that were named before the runs, as `a - b`.
        axis: The key along which figures are drawn, or None.
        tuning_seeds: The seeds whose trials only choose learning rates.
        varied: The params in which its trials differ.
        arm_keys: The fewest of these that tell its arms apart.
        data: The images of each of its data sets.
        created: When it was started, in ISO 8601, UTC.
        notes: What its report has to say besides.
        claims: Those that it was made for, by their ids.
        earlier: The sweeps of its name before it, where it reuses trials.
    """

    name: str
    id: str
    question: str = ""
    command: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    compare: list[str] = field(default_factory=list)
    contrasts: list[str] = field(default_factory=list)
    axis: str | None = None
    tuning_seeds: list[int] = field(default_factory=list)
    varied: list[str] = field(default_factory=list)
    arm_keys: list[str] = field(default_factory=list)
    data: list[DataRecord] = field(default_factory=list)
    created: str = ""
    notes: list[str] = field(default_factory=list)
    claims: dict[str, ClaimRecord] = field(default_factory=dict)
    earlier: list[EarlierSweep] = field(default_factory=list)


@dataclass(frozen=True)
class Environment:
    """Where a sweep ran; each part is empty where it is not known.

    Attributes:
        versions: By package, as `config.environment.versions` tells them.
        git: `commit`, `dirty`, `branch` and `remote` of the folder that it was started in.
        hardware: `cpu`, `cores` and `memory_gib`.
    """

    versions: dict[str, str] = field(default_factory=dict)
    git: dict[str, Any] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanCounts:
    """How many trials a sweep planned, and how many of them did not have to be trained."""

    trials: int = 0
    duplicates: int = 0
    reused: int = 0
    undefined: int = 0
    packs: int = 0
    workers: int = 0


@dataclass(frozen=True)
class Place:
    """Where a sweep is tracked; empty before it is, and in a file that carries it elsewhere."""

    tracking_uri: str = ""
    run_id: str = ""
    experiment_id: str = ""


@dataclass(frozen=True)
class CheckRecord:
    """What came of training some of a sweep's trials again.

    Attributes:
        trials: How many.
        identical: How many gave the recorded digits.
        near: How many more agree as far as two devices can.
        cpu: On which they were trained again.
        created: When, in ISO 8601, UTC.
    """

    trials: int
    identical: int
    near: int
    cpu: str
    created: str


@dataclass(frozen=True)
class TimedArm:
    """Lone trials of one arithmetic, timed.

    Attributes:
        label: The arm in words.
        shape: A `step_shape`: all that a step's arithmetic depends on.
        seconds_per_step: One value a round.
        keys: Of the sweep's trials that it stands for; empty in what is recorded, which is of no sweep.
    """

    label: str
    shape: str
    seconds_per_step: list[float]
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TimingRecord:
    """Lone trials timed in turns by `python -m bnbench time`.

    Attributes:
        arms: Each arithmetic's.
        turn_seconds: Of one turn.
        load_before: The machine's load before the start.
        least_share: Of a core, what the process had in its worst turn.
        disturbed: Whether something else ran meanwhile.
    """

    name: str
    arms: list[TimedArm]
    command: list[str] = field(default_factory=list)
    environment: Environment = field(default_factory=Environment)
    created: str = ""
    turn_seconds: float | None = None
    load_before: float | None = None
    least_share: float | None = None
    disturbed: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TimingRecord:
        """As `SweepRecord.from_json`."""
        arms = [_of(TimedArm, arm) for arm in values["arms"]]
        return _of(cls, {**values, "arms": arms, "environment": _of(Environment, values)})

    def to_json(self) -> dict[str, Any]:
        """One flat mapping; the keys of trials, which are of one sweep, are left out where there are none."""
        values = asdict(self)
        environment: dict[str, Any] = values.pop("environment")
        values["arms"] = [
            {key: value for key, value in arm.items() if key != "keys" or value} for arm in values["arms"]
        ]
        return {**values, **environment}


@dataclass(frozen=True)
class DefaultTargets:
    """The targets of a data set and a model that no one set, and what they were taken from.

    Attributes:
        chance: The share of the largest class.
        best: The highest mean validation accuracy of any arm.
        targets: Empty where no arm got anywhere.
    """

    data: str
    model: str
    chance: float
    best: float
    targets: list[float]


@dataclass(frozen=True)
class FoundOut:
    """What was found out since a sweep was planned.

    Attributes:
        wall_seconds: From its start to its end; None before that.
        verified: What came of training its trials again, alone, or None.
        reproduced: Likewise, in packs.
        conditions: By the last word of a tag of `names.CONDITIONS`, the values that its trials were trained under, and
            the packages' `versions`.
        timing: What lone trials took, or None.
        default_targets: Those that `analysis.default_targets` chose.
    """

    wall_seconds: float | None = None
    verified: CheckRecord | None = None
    reproduced: CheckRecord | None = None
    conditions: dict[str, list[str]] = field(default_factory=dict)
    timing: TimingRecord | None = None
    default_targets: list[DefaultTargets] = field(default_factory=list)


@dataclass(frozen=True)
class SweepRecord:
    """A sweep's description.

    In JSON it is one flat mapping, but for `plan`. A key that an older bnbench did not record has its default; one that
    a newer bnbench has added is left out.
    """

    asked: Asked
    environment: Environment = field(default_factory=Environment)
    plan: PlanCounts = field(default_factory=PlanCounts)
    place: Place = field(default_factory=Place)
    found_out: FoundOut = field(default_factory=FoundOut)

    @property
    def title(self) -> str:
        """Its name and id, which no other sweep has."""
        return f"{self.asked.name}-{self.asked.id}"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SweepRecord:
        """The record that `to_json` wrote, of this bnbench or another.

        Raises:
            TypeError: If what every bnbench has recorded is missing.
        """
        nested: dict[str, Any] = {
            "data": [_of(DataRecord, one) for one in values.get("data", ())],
            "claims": {id: _of(ClaimRecord, one) for id, one in values.get("claims", {}).items()},
            "earlier": [_of(EarlierSweep, one) for one in values.get("earlier", ())],
            "default_targets": [_of(DefaultTargets, one) for one in values.get("default_targets", ())],
        }
        for name in ("verified", "reproduced"):
            nested[name] = None if values.get(name) is None else _of(CheckRecord, values[name])
        nested["timing"] = None if values.get("timing") is None else TimingRecord.from_json(values["timing"])
        flat = {**values, **nested}
        return cls(
            _of(Asked, flat),
            _of(Environment, flat),
            _of(PlanCounts, values.get("plan", {})),
            _of(Place, flat),
            _of(FoundOut, flat),
        )

    def to_json(self) -> dict[str, Any]:
        """Everything that is known of it."""
        timing = self.found_out.timing
        found_out = {**asdict(self.found_out), "timing": None if timing is None else timing.to_json()}
        return {**self.planned_json(), **asdict(self.place), **found_out}

    def planned_json(self) -> dict[str, Any]:
        """What is recorded of it before it is trained: neither where it is tracked nor what was found out since."""
        return {**asdict(self.asked), **asdict(self.environment), "plan": asdict(self.plan)}


def _of(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """An object of a dataclass with those of the values that it has a field for."""
    return kind(**{f.name: values[f.name] for f in fields(kind) if f.name in values})  # type: ignore[arg-type]
