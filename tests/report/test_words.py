"""The English of a report, held by one file: `report_words.md` has what made-up sweeps are told in, word by word.

A change of the words shows there as a difference. Where it is wanted, write the file anew and read what changed:

    RENEW=1 python -m pytest tests/report/test_words.py && git diff tests/report/report_words.md
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bnbench.analysis import SweepTable
from bnbench.claims.history import claims_on
from bnbench.config.folder import conf_dir
from bnbench.record import names
from bnbench.record.sweep_record import TimedArm, TimingRecord
from bnbench.report import Contents, markdown_opening
from bnbench.report.markdown import to_markdown
from bnbench.report.two_sweeps_page import compare_sweeps, comparison_markdown

FILE = Path(__file__).with_name("report_words.md")
LRS = {"optimizer.lr": (0.1, 0.3, 1.0)}
CHECK = {"trials": 4, "identical": 3, "near": 1, "cpu": "a processor", "created": "2026-01-03T00:30:00+00:00"}


def tuned(make_sweep: Any) -> SweepTable:
    """Two models at tuned learning rates, of which one is at its grid's edge; some trials fail; all was measured."""
    peaks = {"none": 1.0, "before": 0.3, "after": 0.3}
    default = {"data": "mnist_5k", "model": "fc", "chance": 0.1, "best": 0.9, "targets": [0.57, 0.83]}
    table: SweepTable = make_sweep(
        axes={"model": ("fc", "cnn"), **LRS},
        tuning_seeds=(100, 101, 102),
        accuracy=lambda p, level: (
            0.05
            if (level, p["seed"], p["optimizer.lr"]) == ("before", 3, 1.0)
            else 0.9 + 0.04 * (level == "before") - 0.03 * abs(p["optimizer.lr"] - peaks[level])
        ),
        status=lambda p, level: "diverged" if (level, p["model"]) == ("none", "cnn") and p["seed"] < 4 else "finished",
        meta={
            "claims": {"C11": asdict(claims_on("placement", [conf_dir()])["C11"])},
            "conditions": {"blas": ["mkl", "openblas"], "versions": ["a=1 b=2", "a=1 b=3"], "device": ["cpu"]},
            "default_targets": [default, {**default, "model": "cnn", "targets": []}],
            "git": {"commit": "0123456789abcdef", "dirty": True},
            "notes": ["Two kinds of processor."],
            "reproduced": {**CHECK, "identical": 4, "near": 0},
            "verified": CHECK,
        },
    )
    trials = table.trials.assign(**{names.VAL_IMAGES: 500.0, names.VAL_IMAGES_CURVE: 349.0})
    trials.loc[0, names.VAL_IMAGES_CURVE] = 148.0
    of_level = {level: trials[trials["norm.placement"].fillna("none") == level] for level in ("none", "before")}
    timed = [
        TimedArm(level, "", seconds, arm["key"].tolist())
        for (level, arm), seconds in zip(of_level.items(), ([0.001, 0.002], [0.0015, 0.0031]), strict=True)
    ]
    timing = TimingRecord("placement", timed, disturbed=True)
    record = replace(table.record, found_out=replace(table.record.found_out, timing=timing))
    return SweepTable(record, trials, table.curves)


def smaller_sweeps(make_sweep: Any) -> Iterator[tuple[str, SweepTable]]:
    """What comes of the contrasts that are told one by one, of sweeps that are not whole, and of those without any."""
    yield "one leads, one cannot be told", make_sweep(accuracy=lambda p, level: 0.9 + 0.02 * (level == "after"))
    yield "the other leads", make_sweep(accuracy=lambda p, level: 0.9 + 0.02 * (level == "none"))
    yield (
        "some failed",
        make_sweep(
            accuracy=lambda p, level: 0.05 if level == "none" and p["seed"] < 4 else 0.9,
            status=lambda p, level: "diverged" if level == "none" and p["seed"] == 9 else "finished",
        ),
    )
    yield "all equal", make_sweep(noise=0.0, accuracy=lambda p, level: 0.9 + 0.01 * (level == "after"))
    yield (
        "equal learning rates, contrasts named by nobody",
        make_sweep(
            axes=LRS,
            accuracy=lambda p, level: 0.9 + 0.02 * (level == "after") * (0.3 - p["optimizer.lr"]),
            meta={"contrasts": []},
        ),
    )
    yield (
        "some diverge at every learning rate",
        make_sweep(
            axes=LRS, status=lambda p, level: "diverged" if level == "none" and p["optimizer.lr"] > 0.1 else "finished"
        ),
    )
    yield (
        "skewed",
        make_sweep(noise=0.001, accuracy=lambda p, level: 0.99 if (level, p["seed"]) == ("after", 3) else 0.9),
    )
    yield "few seeds", make_sweep(seeds=(0, 1, 2), accuracy=lambda p, level: 0.9 + 0.05 * (level == "after"))
    yield "one seed", make_sweep(seeds=(0,))
    yield "one level", make_sweep(level_names=("none",), noise=0.0)
    yield (
        "undefined",
        make_sweep(
            axes={"training.batch_size": (1, 8)},
            status=lambda p, level: "undefined" if level != "none" and p["training.batch_size"] == 1 else "finished",
        ),
    )
    yield (
        "unfinished",
        make_sweep(status=lambda p, level: "missing" if p["seed"] > 5 else "failed" if p["seed"] == 5 else "finished"),
    )
    yield "nothing finished", make_sweep(status=lambda p, level: "failed")
    yield "a level that was not run", make_sweep(level_names=("none", "before"))
    yield "only tuning seeds", make_sweep(axes=LRS, seeds=(), tuning_seeds=(100, 101))
    yield (
        "a learning rate that is still to be chosen",
        make_sweep(
            axes=LRS,
            tuning_seeds=(100, 101),
            status=lambda p, level: "missing" if (level, p["seed"]) == ("before", 101) else "finished",
        ),
    )
    varied = ["norm", "norm.placement", "optimizer.lr", "training.batch_size", "seed"]
    many = make_sweep(
        axes=LRS, seeds=(0, 1), noise=0.2, meta={"compare": varied[:3], "contrasts": [], "varied": varied}
    )
    many.trials.loc[many.trials["norm"] == "none", "training.batch_size"] = 8
    yield "many levels, and a batch size that moves with them", many


def written(make_sweep: Any) -> Iterator[str]:
    table = tuned(make_sweep)
    yield to_markdown(Contents(table))
    for title, smaller in smaller_sweeps(make_sweep):
        said = Contents(smaller)
        yield f"\n# {title}\n\n{markdown_opening(said)}\n\nWhat could mislead:\n\n"
        yield "".join(f"- {line}\n" for line in said.cautions)
    elsewhere = {"tracking_uri": "sqlite:///elsewhere.db", "id": "beef01", "versions": {"torch": "2.14.0"}, "git": {}}
    other = make_sweep(axes=LRS, seeds=range(5, 15), accuracy=lambda p, level: 0.9, meta=elsewhere)
    half = make_sweep(axes=LRS, status=lambda p, level: "missing" if p["seed"] > 8 else "finished")
    yield "\n" + comparison_markdown(compare_sweeps(half, other))
    nowhere = make_sweep(axes={"model": ("cnn",), "optimizer.lr": (3.0,)}, seeds=(50, 51), meta=elsewhere)
    yield "\n" + comparison_markdown(compare_sweeps(half, nowhere))


@pytest.mark.filterwarnings("error")
def test_a_report_says_it_in_these_words(make_sweep: Any) -> None:
    text = "".join(written(make_sweep))
    if os.environ.get("RENEW"):
        FILE.write_text(text, encoding="utf-8")
    assert text.splitlines() == FILE.read_text(encoding="utf-8").splitlines()
