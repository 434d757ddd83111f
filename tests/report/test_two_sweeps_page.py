"""Two sweeps compared: settings that meet, digits, readings, and what else differs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnbench.analysis.two_sweeps import matched_settings, same_digits
from bnbench.config import ConfigError
from bnbench.record import names
from bnbench.report import write_comparison
from bnbench.report.two_sweeps_page import compare_sweeps

LRS = (0.1, 0.3)
ELSEWHERE = {"tracking_uri": "sqlite:///elsewhere.db", "id": "beef01"}


def said(a: Any, b: Any) -> str:
    return "\n".join(compare_sweeps(a, b).sentences)


def unlike(a: Any, b: Any) -> str:
    return "\n".join(compare_sweeps(a, b).cautions)


def test_a_sweep_trained_again_elsewhere_has_the_same_digits(make_sweep: Any) -> None:
    a, b = make_sweep(axes={"optimizer.lr": LRS}), make_sweep(axes={"optimizer.lr": LRS}, meta=ELSEWHERE)
    assert "60 of 60 trials trained in both gave the same digits" in said(a, b)
    assert "Both have 6 settings." in said(a, b)


def test_one_changed_bit_is_found_in_a_metric_and_in_a_curve(make_sweep: Any) -> None:
    a, b = make_sweep(), make_sweep(meta=ELSEWHERE)
    b.trials.loc[3, names.ACC_BEST] = np.nextafter(b.trials.loc[3, names.ACC_BEST], 1)
    row = b.curves.index[b.curves["key"] == b.trials.loc[5, "key"]][0]
    b.curves.loc[row, names.TRAIN_LOSS] = np.nextafter(b.curves.loc[row, names.TRAIN_LOSS], 1)
    assert same_digits(a, b) == (0, 30, 28)


def test_trials_that_both_sweeps_list_are_not_called_the_same_twice(make_sweep: Any) -> None:
    assert said(make_sweep(), make_sweep(meta={"id": "beef01"})).count("30 trials are one and the same run") == 1
    assert "same digits" not in said(make_sweep(), make_sweep(meta={"id": "beef01"}))


def test_settings_of_only_one_sweep_are_counted_and_left_out(make_sweep: Any) -> None:
    a, b = make_sweep(axes={"optimizer.lr": (0.1, 0.3)}), make_sweep(axes={"optimizer.lr": (0.3, 1.0, 3.0)})
    matched, only_a, only_b = matched_settings(a, b)
    assert {one.where["optimizer.lr"] for one in matched} == {0.3}
    assert (len(matched), only_a, only_b) == (3, 3, 6)
    assert "Both have 3 settings; 3 settings only the first has and 6 settings only the second has" in said(a, b)


def test_the_difference_is_taken_over_shared_seeds(make_sweep: Any) -> None:
    a = make_sweep(seeds=range(8), noise=0.001)
    b = make_sweep(seeds=range(4, 12), noise=0.001, accuracy=lambda params, level: 0.88, meta=ELSEWHERE)
    for one in matched_settings(a, b)[0]:
        assert (one.a.n, one.b.n, one.difference.n) == (8, 8, 4)
        assert one.difference.mean == pytest.approx(0.02, abs=0.002)
    assert "Test accuracy differs in 3 of 3 settings" in said(a, b)


def test_a_contrast_that_turned_round_is_called_a_contradiction(make_sweep: Any) -> None:
    def better(winner: str) -> Any:
        return make_sweep(accuracy=lambda params, level: 0.95 if level == winner else 0.9, meta=ELSEWHERE)

    assert "contradict" not in said(better("after"), better("after")).replace("none contradict", "")
    assert "; 1 contradict each other" in said(better("after"), better("before")).replace("; 2", "; 1")
    assert "of 3 contrasts are read the same way" in said(better("after"), better("before"))


def test_what_else_differs_is_named(make_sweep: Any) -> None:
    other = {"versions": {"bnbench": "0.2.0", "torch": "2.13.0"}}
    a, b = make_sweep(), make_sweep(seeds=range(50, 60), meta=other)
    b.trials["training.steps"] = 900
    b.record.asked.data[0] = replace(b.record.asked.data[0], checksum="cd" * 32)
    told = unlike(a, b)
    assert "training.steps is 800 in the first and 900 in the second." in told
    assert "The images of mnist_5k differ" in told
    assert "Mixed versions: python 3.11.2 and unknown and bnbench 0.1.0 and 0.2.0" in told.replace(", ", " and ")
    assert "share no seed" in told
    assert unlike(a, make_sweep()) == ""


def test_sweeps_without_a_common_setting_say_so(make_sweep: Any, tmp_path: Path) -> None:
    a, b = make_sweep(axes={"optimizer.lr": (0.1,)}), make_sweep(axes={"optimizer.lr": (0.3,)})
    for table in (a, b):
        table.record.asked.varied.append("optimizer.lr")
    outcome, _ = write_comparison(a, b, tmp_path)
    assert outcome.sentences == ["The two sweeps have no setting in common: there is nothing to compare."]
    assert outcome.tables == []


def test_every_format_is_written_twice_alike(make_sweep: Any, tmp_path: Path) -> None:
    a, b = make_sweep(axes={"optimizer.lr": LRS}), make_sweep(axes={"optimizer.lr": LRS}, meta=ELSEWHERE)
    _, first = write_comparison(a, b, tmp_path / "a")
    _, second = write_comparison(a, b, tmp_path / "b")
    assert [*first] == [f"against-placement-beef01.{kind}" for kind in ("html", "md", "tex", "csv")]
    for name in first:
        assert first[name].read_bytes() == second[name].read_bytes()
    assert re.findall(r"https?://|<link", first["against-placement-beef01.html"].read_text()) == []
    assert len(first["against-placement-beef01.csv"].read_text().splitlines()) == 1 + 6


def test_an_empty_sweep_is_answered_in_a_line(make_sweep: Any, tmp_path: Path) -> None:
    full = make_sweep()
    empty = replace(make_sweep(meta={"id": "0"}), trials=full.trials[:0], curves=full.curves[:0])
    with pytest.raises(ConfigError, match="sweep placement-0 has no trial"):
        write_comparison(full, replace(empty), tmp_path)
