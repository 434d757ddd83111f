"""A sweep as it is recorded before it is trained: its description, and its trials."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
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


def new_record(config: Config, name: str, plan: Plan, axes: Sequence[str], command_line: Sequence[str]) -> SweepRecord:
    """A sweep's description, before it is trained."""
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
            looks=_looks(config.sweep),
            margin=None if config.sweep.margin_pp is None else config.sweep.margin_pp / 100,
            varied=varied,
            arm_keys=arm_keys(trials, varied),
            data=[_data(name, using) for name, using in data.items()],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        Environment(environment.versions(), environment.git_state(Path.cwd()), environment.hardware()),
    )


def _looks(sweep: SweepConfig) -> list[int]:
    if sweep.until != Until.settled:
        return []
    from bnbench.analysis.sequential.looks import looks_up_to

    return [*looks_up_to(DEFAULT_MAX_SEEDS if sweep.max_seeds is None else sweep.max_seeds)]


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
