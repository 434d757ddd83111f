"""A sweep as it is recorded before it is trained: its description, and its trials."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import OmegaConf

from bnbench.config import Config, SweepConfig, Trial, Until
from bnbench.config.schema import DEFAULT_MAX_SEEDS
from bnbench.data import dataset_info
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.sweep_record import Asked, DataRecord, Environment, SweepRecord
from bnbench.sweep.planning.describe import arm_keys, arm_label, curve_images, varied_keys
from bnbench.sweep.planning.plan import Plan


def new_record(
    config: Config,
    name: str,
    plan: Plan,
    axes: Sequence[str],
    command_line: Sequence[str],
    caps: Collection[int] = (),
) -> SweepRecord:
    """A sweep's description, before it is trained.

    Args:
        config: Of the sweep.
        name: Its name.
        plan: Its trials, or those of its file where seeds are added to them.
        axes: The keys that vary.
        command_line: The overrides as typed.
        caps: The most seeds of each claim that is judged on it.
    """
    from bnbench.config import environment

    trials = [p.trial for p in plan.planned]
    varied = varied_keys(trials, axes)
    data: dict[str, list[Trial]] = {}
    for trial in trials:
        data.setdefault(trial.data.name, []).append(trial)
    container = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    assert isinstance(container, dict)
    return SweepRecord(
        Asked(
            name=name,
            id=uuid.uuid4().hex[:8],
            question=config.sweep.question,
            command=["python", "-m", "bnbench", *command_line],
            config={str(key): value for key, value in container.items()},
            compare=list(config.sweep.compare),
            contrasts=list(config.sweep.contrasts),
            axis=config.sweep.axis,
            tuning_seeds=list(config.sweep.tuning_seeds),
            looks=_looks(config.sweep, caps),
            margin=None if config.sweep.margin_pp is None else config.sweep.margin_pp / 100,
            varied=varied,
            arm_keys=arm_keys(trials, varied),
            data=[_data(name, using) for name, using in data.items()],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        Environment(environment.versions(), environment.git_state(Path.cwd()), environment.hardware()),
    )


def _looks(sweep: SweepConfig, caps: Collection[int]) -> list[int]:
    if sweep.until == Until.seeds:
        return []
    from bnbench.analysis.sequential.looks import looks_up_to

    if sweep.until == Until.settled:
        caps = [DEFAULT_MAX_SEEDS if sweep.max_seeds is None else sweep.max_seeds]
    return sorted({look for cap in caps for look in looks_up_to(cap)})


def planned_trials(plan: Plan, arm_keys: Sequence[str]) -> list[PlannedTrial]:
    """The plan's trials as they are recorded, each with its arm in words."""
    return [
        PlannedTrial(
            p.trial.key, p.trial.params, arm_label(p.trial, arm_keys), p.trial.key in plan.finished, p.undefined
        )
        for p in plan.planned
    ]


def _data(name: str, trials: Sequence[Trial]) -> DataRecord:
    info = dataset_info(trials[-1].data)
    train = {trial.data.train_examples or info.train for trial in trials}
    return DataRecord(
        name=name,
        source=info.summary,
        checksum=trials[-1].data_checksum,
        train=max(train),
        val=info.val,
        test=info.test,
        val_curve=curve_images(trials),
        largest_class=info.largest_class,
    )
