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
        checksum: A digest of the images and, after a colon, one of their split.
        train: The number of training images; the largest number where trials differ in it.
        val: The number of validation images.
        test: The number of test images.
        val_curve: On how many validation images the evaluations along the curves were made, one number for each value
            among the trials; empty where an older bnbench did not record it.
        largest_class: The share of the test images that are of the most frequent class; None where an older bnbench
            did not record it.
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
        hash: The hash of all that decides the verdict, see `Claim.hash`.
        text: The content of the claim's file, as plain JSON.
        left_out: How many trials of the claim's sweep file this sweep leaves out; only if it is 0 is the claim judged.
    """

    hash: str
    text: dict[str, Any]
    left_out: int = 0


@dataclass(frozen=True)
class SweepSummary:
    """A sweep in short.

    Attributes:
        created: When the sweep was started, in ISO 8601, UTC.
        status: The status of the sweep's run in MLflow, such as "FINISHED".
        seeds: The planned seeds whose trials are reported.
        claims: The hash of each claim that the sweep recorded, by the claim's id.
    """

    id: str
    created: str
    status: str
    seeds: list[int]
    claims: dict[str, str]


@dataclass(frozen=True)
class ListedSweep:
    """A sweep as a store lists it, without reading its plan.

    Attributes:
        name: The sweep's name, which several may have.
        run_id: MLflow's id of its run.
        summary: When it was started, how it ended, and what it planned.
        trials: How many trials it planned.
        headlines: Its answers, a sentence each; empty where it has not ended, or an older bnbench recorded it.
    """

    name: str
    run_id: str
    summary: SweepSummary
    trials: int
    headlines: list[str]

    @property
    def title(self) -> str:
        """`<name>-<id>`."""
        return f"{self.name}-{self.summary.id}"


@dataclass(frozen=True)
class Asked:
    """What a sweep was asked to find out.

    Attributes:
        config: The composed configuration, as plain JSON.
        compare: The keys that tell its levels apart.
        contrasts: The pairs of levels that the sweep file names, such as "before - after".
        axis: The key along which figures are drawn, or None.
        tuning_seeds: The seeds whose trials only choose learning rates.
        looks: The numbers of pairs at which the sweep was judged, where it went on until its contrasts were settled;
            empty where it trained the seeds that it was given.
        margin: The smallest difference of test accuracy that matters, as a fraction; None where none was named.
        varied: The params in which the trials differ.
        arm_keys: The fewest varied params that tell the arms apart.
        data: The images of each data set.
        created: When the sweep was started, in ISO 8601, UTC.
        notes: Sentences that the report adds to its cautions.
        claims: The claims that the sweep was made for, by their ids.
        earlier: The earlier sweeps of the same name, if this sweep reuses trials; else empty.
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
    looks: list[int] = field(default_factory=list)
    margin: float | None = None
    varied: list[str] = field(default_factory=list)
    arm_keys: list[str] = field(default_factory=list)
    data: list[DataRecord] = field(default_factory=list)
    created: str = ""
    notes: list[str] = field(default_factory=list)
    claims: dict[str, ClaimRecord] = field(default_factory=dict)
    earlier: list[SweepSummary] = field(default_factory=list)

    @property
    def until_claims(self) -> bool:
        """Whether the sweep goes on until the claims that are judged on it are settled, and not its comparisons."""
        return bool(self.config.get("sweep", {}).get("until") == "claims")


@dataclass(frozen=True)
class Environment:
    """Where a sweep ran; each part is empty where it is not known.

    Attributes:
        versions: The version of each package, see `config.environment.versions`.
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
        trials: How many trials were trained again.
        identical: How many of them gave the recorded digits.
        near: How many others agree as far as two devices can.
        cpu: The processor on which they were trained again.
        created: When they were trained again, in ISO 8601, UTC.
    """

    trials: int
    identical: int
    near: int
    cpu: str
    created: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CheckRecord:
        """The record as it was kept, by this bnbench or another."""
        return _of(cls, values)


@dataclass(frozen=True)
class TimedArm:
    """The time of a training step in trials whose steps do the same arithmetic, each trained alone.

    Attributes:
        label: The arm in words.
        shape: All that the arithmetic of a step depends on, see `packing.paces.step_shape`.
        seconds_per_step: The seconds of a step, one value for each round.
        keys: The keys of a sweep's trials for which the time holds; empty as recorded, before it belongs to a sweep.
    """

    label: str
    shape: str
    seconds_per_step: list[float]
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TimingRecord:
    """The times that `python -m bnbench time` measured, arm after arm in each round.

    Attributes:
        arms: The time of each kind of step.
        turn_seconds: The seconds of one turn of one arm.
        load_before: The machine's load average of a minute, before the start.
        least_share: The smallest share of a core that the process had in any turn, in (0, 1].
        disturbed: Whether something else ran at the same time.
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
        """The timing that `to_json` wrote, of this bnbench or another."""
        arms = [_of(TimedArm, arm) for arm in values["arms"]]
        return _of(cls, {**values, "arms": arms, "environment": _of(Environment, values)})

    def to_json(self) -> dict[str, Any]:
        """One flat mapping for JSON; `keys` of an arm is left out if it is empty."""
        values = asdict(self)
        environment: dict[str, Any] = values.pop("environment")
        values["arms"] = [
            {key: value for key, value in arm.items() if key != "keys" or value} for arm in values["arms"]
        ]
        return {**values, **environment}


@dataclass(frozen=True)
class DefaultTargets:
    """The targets that were chosen for a data set and a model because the configuration sets none.

    Attributes:
        chance: The share of the most frequent class.
        best: The highest mean validation accuracy of any arm.
        targets: Validation accuracies between chance and best; empty if no arm rose above chance.
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
        wall_seconds: The seconds from the sweep's start to its end; None before it has ended.
        verified: The result of training some of its trials again, each alone; None if that was not done.
        reproduced: The result of training its trials again in packs; None if that was not done.
        conditions: The values of each condition under which its trials were trained, by the last word of the tag in
            `names.CONDITIONS`, and the `versions` of the packages.
        timing: The times of training steps that fit its trials; None if none were measured.
        default_targets: The targets that `analysis.default_targets` chose.
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
            "earlier": [_of(SweepSummary, one) for one in values.get("earlier", ())],
            "default_targets": [_of(DefaultTargets, one) for one in values.get("default_targets", ())],
        }
        for name in ("verified", "reproduced"):
            nested[name] = None if values.get(name) is None else CheckRecord.from_json(values[name])
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
