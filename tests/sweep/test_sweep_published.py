"""A sweep in Python's hands: contrasts, reports and comparisons from its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bnbench.config import ConfigError
from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.running.published import Sweep

META = {
    "name": "mine",
    "id": "1",
    "question": "",
    "command": ["python"],
    "compare": ["norm"],
    "contrasts": ["batch - none"],
    "axis": None,
    "tuning_seeds": [],
    "varied": ["norm", "seed"],
    "data": [],
    "versions": {},
    "git": {},
    "hardware": {},
    "plan": {},
    "created": "2026-01-02T03:04:05+00:00",
    "wall_seconds": None,
    "tracking_uri": "sqlite:///x.db",
    "run_id": "0",
    "notes": [],
}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Batch norm is better by 0.02, 0.04 and 0.06 on three seeds."""
    rows = [
        {"key": f"{norm}{seed}", "status": "finished", "reason": "", "diverged_step": None, "tuning": False}
        | {"seed": seed, "data": "mnist_5k", "model": "fc", "norm": norm, "training.steps": 10}
        | {names.TEST_ACC: 0.9 + (0.02 * (seed + 1) if norm == "batch" else 0), names.VAL_ACC: 0.5}
        for norm in ("none", "batch")
        for seed in range(3)
    ]
    curves = pd.DataFrame(columns=["key", "step", "examples", *names.CURVES]).astype({"step": int})
    return Sweep(SweepTable(SweepRecord.from_json(META), pd.DataFrame(rows), curves), tmp_path / "mine-1")


def test_a_contrast_has_its_differences_interval_and_p(sweep: Sweep) -> None:
    [one] = sweep.contrast("batch", "none")
    np.testing.assert_allclose(one.differences, [0.02, 0.04, 0.06])
    assert one.interval.mean == pytest.approx(0.04)
    # t(2) at 97.5 % is 4.3027; the standard error is 0.02 / sqrt(3).
    assert one.interval.low == pytest.approx(0.04 - 4.30265 * 0.02 / np.sqrt(3), abs=1e-6)
    assert one.p == one.adjusted_p == pytest.approx(0.0742, abs=1e-4)
    [turned] = sweep.contrast("none", "batch", measure="test/acc")
    assert turned.interval.mean == pytest.approx(-0.04)


def test_a_contrast_prints_as_a_line_with_estimate_unit_interval_p_pairs_and_verdict(sweep: Sweep) -> None:
    contrasts = sweep.contrast("batch", "none")
    interval = "95 % interval \N{MINUS SIGN}0.97 to +8.97"
    line = f"batch - none, test/acc: +4.00 pp ({interval}, adjusted p .074, 3 pairs): cannot tell"
    assert str(contrasts[0]) == repr(contrasts) == str(contrasts) == line
    sweep.trials[names.TEST_LOSS] = [0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert str(sweep.contrast("batch", "none", measure="test/loss")[0]) == (
        "batch - none, test/loss: \N{MINUS SIGN}0.25 nats (no interval, 3 pairs): all 3 pairs the same: no interval"
    )


def test_a_contrast_without_a_pair_says_why(sweep: Sweep) -> None:
    sweep.trials.loc[sweep.trials["norm"] == "batch", "status"] = "diverged"
    assert str(sweep.contrast("batch", "none")[0]).startswith("batch - none, test/acc: no pair, for trials diverged")


def test_an_unknown_level_or_measure_is_named_with_what_there_is(sweep: Sweep) -> None:
    with pytest.raises(ValueError, match=r"level 'after' is not in this sweep; it compares none, batch"):
        sweep.contrast("after", "none")
    with pytest.raises(ValueError, match=r"test/typo was not measured in this sweep; it has .*test/acc"):
        sweep.contrast("batch", "none", measure="test/typo")


def test_a_report_is_written_where_and_as_asked(sweep: Sweep, tmp_path: Path) -> None:
    assert {*sweep.report(["md"])} == {"report.md", "manifest.json"}
    assert (sweep.folder / "report.md").exists()
    assert sweep.report(["tex"], tmp_path / "other")["report.tex"] == tmp_path / "other" / "report.tex"
    with pytest.raises(ConfigError, match="format pdf is unknown"):
        sweep.report(["pdf"])


def test_two_sweeps_are_compared(sweep: Sweep) -> None:
    said, paths = sweep.compare(sweep, ["md"])
    assert [*paths] == ["against-mine-1.md"]
    assert any("6 trials are one and the same run" in sentence for sentence in said.sentences)
