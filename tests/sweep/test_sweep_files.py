"""The sweeps that come with bnbench: what their headers promise is what they plan and compare."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from bnbench.analysis import Design
from bnbench.analysis.design import LEARNING_RATE
from bnbench.analysis.significance import seeds_suffice
from bnbench.config.folder import conf_dir
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.planning.compose import compose, to_config
from bnbench.sweep.planning.describe import varied_keys
from bnbench.sweep.planning.grid import expand
from bnbench.sweep.planning.plan import Plan

if TYPE_CHECKING:
    from conftest import CountingSweep

OF_PARTS = "claims"
# A demonstration; digits that must be equal; minutes a trial; and questions about all their settings together.
_TOO_FEW_SEEDS = {"smoke", "implementation", "resnet", "search"}
FILES = sorted(file for group in ("sweep", "experiment") for file in (conf_dir() / group).glob("*.yaml"))
FILES = [file for file in FILES if file.stem != OF_PARTS]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_plans_and_compares_what_its_header_says(
    file: Path, sweep: CountingSweep, plan: Callable[..., Plan]
) -> None:
    typed = [f"+{file.parent.name}={file.stem}", "data=mnist_5k"]  # also where another set stands in
    loader = sweep.hydra.context.config_loader
    config = loader.load_configuration("config", typed, RunMode.MULTIRUN)
    asked = to_config(sweep.hydra.compose(typed)).sweep
    varies: Any = OmegaConf.to_container(config.hydra.sweeper)
    is_group = sweep.hydra.is_group
    grid = expand(varies["params"], varies["arms"], typed, is_group=is_group, tuning_seeds=asked.tuning_seeds)
    made = plan([*compose(grid, sweep.hydra.compose, is_group=is_group)])

    trials = [planned.trial for planned in made.planned]
    varied = varied_keys(trials, grid.axes)
    header = " ".join(line.lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#"))
    assert f"{len(trials):,}" in re.findall(r"= ([\d,]+) trials", header)
    assert re.search(r"[aA]bout \d+ (s|min) on 2 cores", header)

    assert asked.question.endswith(("?", ".)"))
    assert asked.axis is None or asked.axis in varied
    assert {*asked.compare} & {*varied}, "there is something to compare"
    table = _table(made, asked.compare, varied)
    assert {*asked.contrasts} <= _contrasts(table), "every contrast names two levels"
    if file.parent.name == "sweep" and file.stem not in _TOO_FEW_SEEDS:
        keys = [key for key in Design(table).strata if not (asked.tuning_seeds and key == LEARNING_RATE)]
        settings = len(table.trials[keys].drop_duplicates()) if keys else 1
        seeds = table.trials["seed"].nunique() - len(asked.tuning_seeds)
        assert seeds_suffice(seeds, max(1, len(asked.contrasts) * settings)), (
            "its main comparisons can be told from chance"
        )


def _table(made: Plan, compare: list[str], varied: list[str]) -> SweepTable:
    """The sweep's table before anything was trained."""
    rows = [{"key": p.trial.key, "status": "missing", "tuning": False, **p.trial.params} for p in made.planned]
    record = SweepRecord(Asked("planned", "0", compare=compare, varied=varied))
    return SweepTable(record, pd.DataFrame(rows), pd.DataFrame())


def _contrasts(table: SweepTable) -> set[str]:
    own = Design(table).levels
    return {f"{a} - {b}" for a in own for b in own if a != b}
