"""What a sweep will train: its trials checked, duplicates and finished ones dropped, the rest packed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnbench.config import (
    Config,
    ConfigError,
    Engine,
    Init,
    LogModel,
    SplitKind,
    Trial,
    config_errors,
    unknown_names,
    useless_keys,
)
from bnbench.data import (
    DATASETS,
    OWN,
    ImageData,
    dataset_info,
    load_images,
    split_checksum,
    split_data,
)
from bnbench.packing.paces import Pace, best_width, shape_of
from bnbench.packing.partition import partition
from bnbench.sweep.planning.engine_here import with_engine_here
from bnbench.sweep.planning.estimate import training_seconds
from bnbench.sweep.planning.norm_rules import norm_errors, undefined_reason

if TYPE_CHECKING:
    from bnbench.packing.packability import Packability
    from bnbench.packing.rehearsal import Rehearsal


class DataLoader:
    """Each data set a sweep names, loaded once.

    Attributes:
        tried: What trying networks of the user's own showed, of which each plan of a sweep has many.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._loaded: dict[tuple[object, ...], ImageData] = {}
        self._split_checksums: dict[tuple[str, str, int, int | None], str] = {}
        self.tried: dict[object, Packability] = {}

    def load(self, config: Config) -> ImageData:
        """The images `data` names.

        Raises:
            DataError: If they are not to be had; one line.
        """
        key = (config.data.name, config.data.root, config.data.path, config.data.factory, config.data.image_size)
        if key not in self._loaded:
            self._loaded[key] = load_images(config.data, self._cache_dir)
        return self._loaded[key]

    def checksum(self, config: Config) -> str:
        """Of the images and of which are for training, validation and test."""
        data = self.load(config)
        seed = config.seed if config.data.split == SplitKind.by_seed else 0
        subset = config.data.train_examples
        key = (data.checksum, config.data.split, seed, subset)
        if key not in self._split_checksums:
            split = split_data(data, kind=config.data.split, seed=seed, train_examples=subset)
            self._split_checksums[key] = split_checksum(split)
        return f"{data.checksum}:{self._split_checksums[key]}"

    def trial(self, config: Config) -> Trial:
        """The trial that a configuration becomes, keyed by its images and by weights that its network brings."""
        info, weights = dataset_info(config.data), ""
        config = with_engine_here(config)
        if config.model.name == "custom" and Init.own in (config.model.init, config.model.head_init):
            from bnbench.models.own import survey

            weights = survey(config.model, info.shape, info.classes).brought_weights.checksum
        return Trial.from_config(
            config, train_size=info.train, data_checksum=self.checksum(config), weights_checksum=weights
        )


@dataclass(frozen=True)
class Planned:
    """A trial with what a worker needs to compose it again.

    Attributes:
        trial: The trial.
        overrides: What Hydra composes.
        values: What is set on top of that, by key.
        undefined: Why it has no result, or None.
        why_alone: Why it cannot be trained in a pack with others, or None: decided here, once, for whoever trains it.
        rehearsal: What its network does beside computing, if it or its norm is the user's own.
        chosen_engine: `training.engine` as configured.
    """

    trial: Trial
    overrides: list[str]
    values: dict[str, Any]
    undefined: str | None
    why_alone: str | None = None
    rehearsal: Rehearsal | None = None
    chosen_engine: Engine = Engine.auto


PlannedPack = list[Planned]


@dataclass(frozen=True)
class Plan:
    """What a sweep will do.

    Attributes:
        planned: Every distinct trial, in the grid's order.
        duplicates: Points of the grid that were a trial already planned.
        finished: Keys of the planned trials that the store has results of.
        packs: What is left to train, longest first; trials of a pack share one `overrides`.
        begun: Keys of the packs that are trained in part; each stays together, to go on from its checkpoint.
        paces: What was measured of steps, by `shape_of`.
    """

    planned: list[Planned]
    duplicates: int
    finished: frozenset[str]
    packs: list[PlannedPack]
    begun: Sequence[Sequence[str]] = ()
    paces: Mapping[str, Pace] = field(default_factory=dict)

    @property
    def alone(self) -> dict[str, int]:
        """How many trials are trained one by one, by the reason."""
        return dict(Counter(p.why_alone for p in self.planned if p.why_alone is not None))

    @property
    def undefined(self) -> list[Planned]:
        """Trials without a result by definition."""
        return [p for p in self.planned if p.undefined is not None]

    def repacked(self, paces: Mapping[str, Pace], workers: int = 1) -> Plan:
        """The same trials, in packs of the widths that were measured to be best, for so many workers."""
        widths = {shape: best_width(pace) for shape, pace in paces.items()}
        left = {p.trial.key: p for p in self.planned if p.undefined is None and p.trial.key not in self.finished}
        begun = []
        rest = dict.fromkeys(left)
        for keys in self.begun:
            if all(key in rest for key in keys):
                begun.append([left[key].trial for key in keys])
                rest = dict.fromkeys(key for key in rest if key not in keys)
        alone = {key for key, p in left.items() if p.why_alone is not None}
        packs = _by_overrides([*begun, *partition([left[key].trial for key in rest], widths, workers, alone)], left)
        repacked = replace(self, packs=packs, paces=paces)
        packs.sort(key=repacked.pack_seconds, reverse=True)
        return repacked

    def only(self, keys: Set[str], workers: int) -> Plan:
        """The plan that trains these of its trials, and takes the others for finished."""
        if all(p.trial.key in keys for pack in self.packs for p in pack):
            return self
        others = frozenset(p.trial.key for p in self.planned if p.undefined is None) - keys
        return replace(self, finished=others).repacked(self.paces, workers)

    def pack_seconds(self, pack: Sequence[Planned]) -> float:
        """Estimated seconds of a pack on one core."""
        pace = self.paces.get(shape_of(pack[0].trial))
        return training_seconds([p.trial for p in pack], pace, alone=pack[0].why_alone is not None)

    @property
    def seconds(self) -> float:
        """Estimated core seconds of training."""
        return sum(self.pack_seconds(pack) for pack in self.packs)

    def seconds_on(self, workers: int) -> float:
        """Estimated seconds of training on so many workers; no less than the longest pack takes."""
        return max(self.seconds / workers, *(self.pack_seconds(pack) for pack in self.packs), 0.0)


def make_plan(
    composed: Iterable[tuple[Config, list[str], dict[str, Any]]],
    data: DataLoader,
    finished: Callable[[], Iterable[str]],
    begun: Sequence[Sequence[str]] = (),
    check: Callable[[Sequence[Planned]], None] = lambda planned: None,
    *,
    part: bool = False,
) -> Plan:
    """Check every trial and decide what must be trained.

    Args:
        composed: Configurations as `sweep.compose` yields them.
        data: Gives the images their trials are keyed by.
        finished: Gives the keys that need no training; asked only after every check has passed.
        begun: Keys of packs that have checkpoints.
        check: What else must be right of the trials together; raises where it is not.
        part: Whether the sweep has other trials, which may use the keys that these have no use for.

    Raises:
        ConfigError: If any trial is wrong, or none of them has a result; one line for each distinct error.
    """
    points = list(composed)
    _check([config for config, _, _ in points], part=part)
    reasons = [undefined_reason(config) for config, _, _ in points]
    if None not in reasons:
        raise ConfigError("\n".join(dict.fromkeys(str(reason) for reason in reasons)))
    planned: dict[str, Planned] = {}
    for (config, overrides, values), reason in zip(points, reasons, strict=True):
        trial = data.trial(config)
        planned.setdefault(trial.key, Planned(trial, overrides, values, reason, chosen_engine=config.training.engine))
    trials = list(planned.values())
    check(trials)
    trials = _tried(
        trials, data.tried, to_keep=any(config.tracking.log_model == LogModel.best for config, _, _ in points)
    )
    done = frozenset(finished()) & {p.trial.key for p in trials if p.undefined is None}
    return Plan(trials, len(points) - len(trials), done, [], begun).repacked({})


def _check(configs: Sequence[Config], *, part: bool) -> None:
    """Find every error before anything is read or written; one line for each distinct one."""
    errors = dict.fromkeys([] if part else useless_keys(configs))
    for config in configs:
        unknown = list(_unknown_names(config))
        wrong = unknown or config_errors(config, dataset_info(config.data).train)
        errors.update(dict.fromkeys(wrong or norm_errors(config)))
    if errors:
        raise ConfigError("\n".join(errors))


def _tried(planned: list[Planned], tried: dict[object, Packability], *, to_keep: bool) -> list[Planned]:
    """The trials; those with a network or norm of the user's own with what trying it showed.

    Args:
        planned: The trials.
        tried: What trying networks showed before; those of these trials are added.
        to_keep: Whether one of the networks will be kept.

    Raises:
        ConfigError: If one of them cannot be trained, or kept; one line for each distinct error.
    """
    if not any(p.trial.is_custom for p in planned):
        return planned
    from bnbench.packing.packability import packability

    trials: dict[object, Trial] = {}
    for p in planned:
        if p.trial.is_custom and p.undefined is None:
            trials.setdefault(_network(p), p.trial)
    errors: dict[str, None] = {}
    for network, trial in trials.items():
        try:
            if network not in tried:
                tried[network] = packability(trial)
            lost = tried[network].rehearsal.unsaveable
            if lost and to_keep:
                errors[f"a step changes {', '.join(lost)}, which tracking.log_model=best cannot keep"] = None
        except ConfigError as error:
            errors[str(error)] = None
    if errors:
        raise ConfigError("\n".join(errors))
    return [replace(p, **vars(tried[_network(p)])) if _network(p) in tried else p for p in planned]


def _network(p: Planned) -> object:
    """Trials whose networks can be tried as one, and packed together, have the same."""
    info = dataset_info(p.trial.data)
    return p.trial.signature, info.shape, info.classes


def _unknown_names(config: Config) -> Iterable[str]:
    data_sets = [*DATASETS, *OWN]
    if config.data.name not in data_sets:
        yield f"data={config.data.name} is unknown; allowed: {', '.join(data_sets)}"
    yield from unknown_names(config)


def _by_overrides(packs: list[list[Trial]], planned: dict[str, Planned]) -> list[PlannedPack]:
    """Packs split where their trials were composed from different files, so that one compose serves a job."""
    split: dict[tuple[int, tuple[str, ...]], PlannedPack] = {}
    for index, trials in enumerate(packs):
        for trial in trials:
            p = planned[trial.key]
            split.setdefault((index, tuple(p.overrides)), []).append(p)
    return list(split.values())
