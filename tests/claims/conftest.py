"""Sweeps as they are planned, with results made up so that the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext
from omegaconf import OmegaConf

from bnbench.claims import Claim, load_claims
from bnbench.claims.history import claims_on
from bnbench.config import Trial
from bnbench.config.folder import conf_dir
from bnbench.data import DATASETS
from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.hydra_app import register, task
from bnbench.sweep.planning.compose import compose, to_config
from bnbench.sweep.planning.describe import varied_keys
from bnbench.sweep.planning.full_size import at_size
from bnbench.sweep.planning.grid import expand
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.norm_rules import undefined_reason

Planned = tuple[dict[str, Any], list[tuple[Trial, str | None]]]
Outcome = Mapping[str, Any]


@pytest.fixture(scope="session")
def claims() -> dict[str, Claim]:
    return load_claims([conf_dir()])


@pytest.fixture(scope="session")
def plan_sweep() -> Callable[..., Planned]:
    """A sweep's description and its trials, each with the reason if it is undefined; without data or a store."""
    return cache(_plan)


def _plan(name: str, *overrides: str) -> Planned:
    register()
    with initialize_config_dir(str(conf_dir()), job_name="test", version_base="1.3"):
        inner = GlobalHydra.instance().hydra
        assert inner is not None
        context = HydraContext(config_loader=inner.config_loader, callbacks=None)  # type: ignore[arg-type]
        node = hydra_compose("config", overrides=[f"+sweep={name}"], return_hydra_config=True)
        hydra = HydraSweep(node, context, task)
        config = to_config(
            hydra.compose([f"+sweep={name}", *(word for word in overrides if word.startswith("sweep."))])
        )
        words = at_size(config.sweep, [f"+sweep={name}", *overrides])
        seeds = config.sweep.tuning_seeds
        sweeper: Any = OmegaConf.to_container(node.hydra.sweeper, resolve=True)
        varies = sweeper["params"] or {}, sweeper["arms"] or {}
        grid = expand(*varies, words, is_group=hydra.is_group, tuning_seeds=seeds)
        trials: dict[str, tuple[Trial, str | None]] = {}
        for point, _, _ in compose(grid, hydra.compose, is_group=hydra.is_group):
            size = DATASETS[point.data.name].train
            trial = Trial.from_config(point, train_size=size, data_checksum=point.data.name)
            trials.setdefault(trial.key, (trial, undefined_reason(point)))
    meta = {
        "name": name,
        "id": "0a1b",
        "question": config.sweep.question,
        "command": ["python", "-m", "bnbench", *words],
        "compare": list(config.sweep.compare),
        "contrasts": list(config.sweep.contrasts),
        "axis": config.sweep.axis,
        "tuning_seeds": list(seeds),
        "varied": varied_keys([trial for trial, _ in trials.values()], grid.axes),
        "claims": {id: asdict(claim) for id, claim in claims_on(name, [conf_dir()]).items()},
        "earlier": [],
    }
    return meta, list(trials.values())


def fill(
    planned: Planned, outcome: Callable[[dict[str, Any], np.random.Generator], Outcome], seed: int = 0
) -> SweepTable:
    """The table of a sweep whose trials ended as `outcome` says: metrics by key, and `status` where it is not finished.

    A curve's metric is its values by step.
    """
    meta, trials = planned
    rng = np.random.default_rng(seed)
    rows, curves = [], []
    for trial, undefined in trials:
        row = {"key": trial.key, "status": "finished", "reason": "", "diverged_step": None, **trial.params}
        row["tuning"] = trial.seed in meta["tuning_seeds"]
        if undefined is not None:
            rows.append({**row, "status": "undefined", "reason": undefined})
            continue
        values = dict(outcome(trial.params, rng))
        along = {key: values.pop(key) for key in [*values] if names.is_curve(key)}
        steps = sorted({step for points in along.values() for step in points})
        curves += [{"key": trial.key, "step": step, **{key: along[key].get(step) for key in along}} for step in steps]
        rows.append(row | values)
    frame = pd.DataFrame(rows)
    for key in (names.TEST_ACC, names.ACC_BEST):
        if key not in frame:
            frame[key] = 0.5
    frame.loc[frame["status"] != "finished", names.TEST_ACC] = np.nan
    return SweepTable(
        SweepRecord.from_json(meta),
        frame,
        pd.DataFrame(curves, columns=["key", "step", *names.CURVES, *names.MEASURED_CURVES]),
    )


@pytest.fixture(scope="session")
def made_up() -> Callable[..., SweepTable]:
    return fill
