"""Figures for what a sweep varied and for what it measured."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from bnbench.analysis import Analysis
from bnbench.record import names
from bnbench.report import Contents
from bnbench.report.figures import by_layer, draw_figures, measured
from bnbench.report.figures import validation_curves as convergence
from bnbench.report.figures.answer import draw_answers
from bnbench.report.figures.forest import draw_axis, draw_bar
from bnbench.report.figures.panels import place_ticks
from bnbench.report.figures.svg import NARROW, draw_chart, render
from bnbench.report.table import Effect

NAN = float("nan")


def titles(table: Any) -> list[str]:
    return [figure.title for figure in draw_figures(Analysis(table))]


@pytest.fixture
def with_measures(make_sweep: Any) -> Any:
    """Gradients that fall by a decade from level to level, and saturated shares, on every second step."""
    table = make_sweep(axes={"optimizer.lr": (0.1, 0.3)}, seeds=range(3))
    level = dict(zip(table.trials["key"], table.trials["norm.placement"].fillna("none"), strict=True))
    decade = table.curves["key"].map(level).map({"none": 0.0, "before": -1.0, "after": -2.0})
    taken = table.curves.groupby("key").cumcount() % 2 == 0
    for key, values in {
        names.GRADIENT_FIRST: 10.0**decade,
        names.ACTIVATION_SATURATED: 0.1 - 0.01 * decade,
        **{name: decade + q / 100 for q, name in names.ACTIVATION_PERCENTILES.items()},
    }.items():
        table.curves[key] = np.where(taken, values, NAN)
    return table


def test_accuracy_is_drawn_against_whatever_of_rate_and_batch_size_varies(make_sweep: Any) -> None:
    both = make_sweep(
        axes={"training.batch_size": (8, 64), "optimizer.lr": (0.1, 0.3)},
        seeds=(0, 1),
        meta={"axis": "training.batch_size"},
    )
    assert "Test accuracy and paired differences against batch size" in titles(both)
    assert "Test accuracy against learning rate" in titles(both)
    assert not any(
        "against batch" in title or "against learning" in title for title in titles(make_sweep(seeds=(0, 1)))
    )


def test_what_was_measured_is_drawn_kind_by_kind(with_measures: Any) -> None:
    figures = measured.draw(Analysis(with_measures))
    assert [figure.title for figure in figures] == ["Gradients while training", "Inputs of hidden units while training"]
    assert [[len(row.panels) for row in figure.rows] for figure in figures] == [[1, 1], [2, 2]]  # a row a learning rate
    assert [row.title for row in figures[0].rows] == ["learning rate 0.1", "learning rate 0.3"]


def test_a_measure_is_averaged_where_it_was_taken_and_on_a_log_scale_where_it_is_wide(with_measures: Any) -> None:
    gradients, inputs = measured.draw(Analysis(with_measures))
    label = re.search('aria-label="([^"]*)"', gradients.rows[0].panels[0].svg)
    assert label
    assert "At the last step: none 1; before 0.1; after 0.01." in label[1]
    assert "10⁻²" in gradients.rows[0].panels[0].svg
    assert "10⁻" not in inputs.rows[0].panels[0].svg
    percentiles = inputs.rows[0].panels[1]
    assert "percentiles 15, 50 and 85" in percentiles.title
    assert "none 0.5; before -0.5; after -1.5" in percentiles.svg


def test_gradients_are_drawn_against_the_layer_before_the_first_step_and_after_the_last(with_measures: Any) -> None:
    decade = np.log10(with_measures.curves[names.GRADIENT_FIRST])
    for layer in range(1, 13):
        with_measures.curves[names.layer_gradient(layer)] = 10.0 ** (decade * layer)
    figure = by_layer.draw(Analysis(with_measures))
    assert [row.title for row in figure.rows] == ["learning rate 0.1", "learning rate 0.3"]
    before, after = figure.rows[0].panels
    assert (before.title, after.title[:31]) == (
        "gradient norm by layer, after step 1",
        "gradient norm by layer, after s",
    )
    assert "before 0.1 at layer 1, 1e-12 at layer 12; after 0.01 at layer 1, 1e-24 at layer 12" in after.svg
    assert figure.title in titles(with_measures)


def test_a_layer_without_a_gradient_is_left_out_of_its_line(with_measures: Any) -> None:
    first = with_measures.curves[names.GRADIENT_FIRST]
    for layer in (1, 2, 3):
        with_measures.curves[names.layer_gradient(layer)] = 0 * first if layer == 2 else first
    assert "none 1 at layer 1, 1 at layer 3" in by_layer.draw(Analysis(with_measures)).rows[0].panels[0].svg


def test_what_was_measured_at_one_step_is_no_curve(with_measures: Any) -> None:
    curves = with_measures.curves
    kinds = [key for key in curves if key.startswith(("gradient/", "activation/"))]
    curves.loc[curves["step"] != curves["step"].min(), kinds] = None
    assert curves[kinds].notna().any(axis=None)
    assert measured.draw(Analysis(with_measures)) == []


def test_nothing_measured_is_no_figure(make_sweep: Any) -> None:
    table = make_sweep(seeds=(0, 1))
    assert measured.draw(Analysis(table)) == []
    assert by_layer.draw(Analysis(table)).rows == ()


def place(svg: str, kind: str) -> list[float]:
    """The horizontal places of a line's ends, or of a mark."""
    found = re.search(rf'class="{kind}" (?:d="M([\d.]+) \d+H([\d.]+)"|cx="([\d.]+)")', svg)
    return [float(value) for value in found.groups() if value] if found else []


def test_a_bar_stands_where_its_numbers_are() -> None:
    effects = [Effect(1.0, 0.0, 2.0, -1.0, 3.0, True), Effect(-1.0, NAN, NAN, NAN, NAN, False)]
    first, second = (draw_bar(effect, effects) for effect in effects)
    # From -1 to 3 on 172 points, after a margin of 14.
    assert place(first, "firm") == [14 + 172 * 2 / 4]
    assert place(first, "likely") == [14 + 172 * 1 / 4, 14 + 172 * 3 / 4]
    assert place(first, "wide") == [14, 14 + 172]
    assert place(second, "hollow") == [14]
    assert place(second, "likely") == []
    assert re.findall(r">([−\d]+)<", draw_axis(effects)) == ["−1", "0", "1", "2", "3"]


def test_an_effect_of_nothing_has_a_scale() -> None:
    assert "0" in draw_axis([Effect(0.0, NAN, NAN, NAN, NAN, True)])
    assert "0" in draw_axis([Effect(NAN, NAN, NAN, NAN, NAN, False)]), "no trial of any pair succeeded"


def _numbers(svg: str) -> list[float]:
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in re.findall(r">([\N{MINUS SIGN}\d.]+)</text>", svg)]


@pytest.mark.parametrize("labels", [["0.0000125", "0.0000250"], ["\N{MINUS SIGN}12,345,678"], ["0"]])
@pytest.mark.parametrize("last", ["1", "1,000,000,000"])
def test_no_tick_label_is_cut_off(labels: list[str], last: str) -> None:
    figure, axes = draw_chart("step", width=NARROW)
    axes.plot([0, 1], [0, 1])
    place_ticks(axes, "y", [i / len(labels) for i, _ in enumerate(labels, start=1)], labels)
    place_ticks(axes, "x", [0, 1], ["0", last])
    axes.set_xlim(0, 1)
    svg = render(figure, "a chart")
    assert last in svg
    box = axes.get_tightbbox()
    assert box is not None
    assert min(box.x0, box.y0) > 1
    assert box.x1 < figure.bbox.width - 1
    assert box.y1 < figure.bbox.height - 1


def test_differences_that_are_all_equal_are_not_drawn_on_a_scale_of_rounding(make_sweep: Any) -> None:
    table = make_sweep(axes={"optimizer.lr": (0.1, 0.3)}, seeds=range(3), noise=0.0)
    [figure] = [figure for figure in draw_figures(Analysis(table)) if "differences" in figure.title]
    panels = [panel for row in figure.rows for panel in row.panels if panel.title.endswith("pp")]
    assert panels
    for panel in panels:
        assert max(_numbers(panel.svg)) >= 0.4
        assert 0.04 not in _numbers(panel.svg)


def test_where_no_pair_is_left_there_is_no_scale(make_sweep: Any) -> None:
    status = lambda params, level: "diverged" if level == "none" else "finished"  # noqa: E731
    table = make_sweep(axes={"optimizer.lr": (0.1, 0.3)}, seeds=range(3), status=status)
    [figure] = [figure for figure in draw_figures(Analysis(table)) if "differences" in figure.title]
    [panel] = [panel for row in figure.rows for panel in row.panels if "before - none" in panel.title]
    assert sorted(_numbers(panel.svg)) == [0, 0.1, 0.3]  # no difference, and the learning rates


def test_a_measure_that_is_always_the_same_is_drawn_from_zero(with_measures: Any) -> None:
    with_measures.curves[names.ACTIVATION_SATURATED] = with_measures.curves[names.ACTIVATION_SATURATED] * 0
    inputs = measured.draw(Analysis(with_measures))[1]
    numbers = _numbers(inputs.rows[0].panels[0].svg)
    assert min(numbers) == 0
    assert {0.2, 0.8} <= {*numbers}
    assert 0.04 not in numbers


def test_accuracies_whose_labels_have_no_room_have_no_tick() -> None:
    assert convergence._apart([10, 30, 50, 70, 80, 90, 95], 0.05, 0.97) == [10, 50, 70, 80, 90, 95]
    assert convergence._apart([80, 90, 95], 0.7, 0.97) == [80, 90, 95]


def answers(table: Any) -> list[Any]:
    said = Contents(table)
    return draw_answers(said.analysis, said.choices)


def test_the_answer_is_drawn_once_a_model_with_a_row_for_each_contrast(make_sweep: Any) -> None:
    table = make_sweep(axes={"model": ("fc", "cnn")}, accuracy=lambda p, level: 0.9 + 0.05 * (level == "after"))
    fc, cnn = answers(table)
    assert (fc.title, cnn.title) == ("fc", "cnn")
    difference = Analysis(table).differences[1]
    mean, low, high = (f"{100 * (value or 0):+.2f}" for value in difference.interval[1:])
    assert f"after \N{MINUS SIGN} no norm: {mean} pp ({low} to {high})" in fc.svg
    assert fc.svg.count('<circle class="firm"') == 2, "after beats both"
    assert fc.svg.count('<circle class="hollow"') == 1, "before and none cannot be told"


def test_the_line_of_an_interval_lies_where_the_axis_says(make_sweep: Any) -> None:
    table = make_sweep(level_names=("none", "before"), accuracy=lambda p, level: 0.9 + 0.05 * (level == "before"))
    (picture,) = answers(table)
    ticks = {
        float(label): float(x) for x, label in re.findall(r'class="tick" x="([\d.]+)" y="\d+">(\d+)<', picture.svg)
    }
    scale = (ticks[4] - ticks[0]) / 4
    start, end = map(float, re.findall(r'class="likely" d="M([\d.]+) \d+H([\d.]+)"', picture.svg)[0])
    _, _, low, high = Analysis(table).differences[0].interval
    assert (start, end) == pytest.approx([ticks[0] + scale * 100 * one for one in (low, high)], abs=0.2)


def test_failures_are_marked_in_the_answer_and_what_has_no_pair_has_no_mark(make_sweep: Any) -> None:
    table = make_sweep(status=lambda p, level: "diverged" if level == "none" else "finished")
    (picture,) = answers(table)
    assert picture.svg.count("\N{MULTIPLICATION SIGN} failed: no norm 10/10</text>") == 2
    assert picture.svg.count("<circle") == 1
    assert answers(make_sweep(status=lambda p, level: "diverged")) == []
