"""The judge's own parts: formulas against the reference, complex steps against closed forms, blends, arrays as text."""

from __future__ import annotations

import numpy as np
import pytest

from bnbench.check.blending import MEANS, VARIANCES, Blend, find_blend, of_batch
from bnbench.check.formulas import Formula, formulas, gradient, right_gradients, right_output
from bnbench.check.inputs import BETA, GAMMA, batch, upstream
from bnbench.check.running import evaluated_by, in_effect
from bnbench.check.wire import from_line, to_line
from bnbench.reference import batchnorm_forward, torch_state

_EPS = 1e-5


@pytest.mark.parametrize("axes", [2, 3, 4, 5])
def test_the_formula_without_departures_is_the_reference_s_and_comes_first(axes: int) -> None:
    x = batch(axes, 1)
    first = next(formulas(axes))
    assert (first, first.departures(axes)) == (Formula(), [])
    np.testing.assert_allclose(first(x, GAMMA, BETA, _EPS), right_output(x, GAMMA, BETA, _EPS), rtol=1e-12)


@pytest.mark.parametrize("axes", [2, 4])
def test_a_complex_step_gives_the_closed_form_s_gradients(axes: int) -> None:
    x, dout = batch(axes, 1), upstream(axes)
    right = right_gradients(x, dout, GAMMA, BETA, _EPS)
    for which, expected in enumerate(right):
        found = gradient(lambda *values: Formula()(*values, _EPS), (x, GAMMA, BETA), dout, which)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_no_departure_has_batch_norm_s_output() -> None:
    x = batch(4, 1)
    right = right_output(x, GAMMA, BETA, 1e-3)
    with np.errstate(all="ignore"):
        same = [one for one in formulas(4) if np.abs(one(x, GAMMA, BETA, 1e-3) - right).max() < 1e-9]
    assert same == [Formula()]


def test_blends_follow_the_reference_s_running_statistics() -> None:
    state = torch_state(3, momentum=0.25, ddof=1)
    batches = [batch(2, number) for number in range(1, 6)]
    seen = []
    for x in batches:
        batchnorm_forward(x, GAMMA, BETA, state)
        seen.append((state["running_mean"], state["running_var"]))
    for which, (quantity, start) in enumerate([("mean", 0.0), ("N - 1", 1.0)]):
        values = np.array([of_batch(x, _EPS)[which][quantity] for x in batches])
        found = Blend(quantity, "average", 0.25, np.full(3, start)).follow(values)
        np.testing.assert_allclose(found, [one[which] for one in seen], rtol=1e-12)


@pytest.mark.parametrize("quantity", [name for name in VARIANCES if name != "nothing"])
@pytest.mark.parametrize("kind", ["average", "debiased", "cumulative", "first", "forgets"])
def test_a_planted_blend_is_found(quantity: str, kind: str) -> None:
    if kind == "forgets" and quantity in ("N - 1", "examples", "root"):
        pytest.skip("without memory it is N's with another weight")
    each = [of_batch(batch(4, number), _EPS)[1] for number in range(1, 41)]
    values = {name: np.array([one[name] for one in each]) for name in each[0]}
    planted = Blend(quantity, kind, 0.0 if kind == "cumulative" else 0.1, np.zeros(3))
    followed = planted.follow(values[quantity])
    seen = {t: followed[t - 1] for t in (1, 2, 3, 40)}
    found = find_blend([*VARIANCES], values, seen, 1e-7)
    assert found is not None
    assert (found.quantity, found.kind) == (quantity, kind)
    assert found.weight == pytest.approx(planted.weight)


def test_a_mean_that_nothing_gives_is_not_explained() -> None:
    each = [of_batch(batch(2, number), _EPS)[0] for number in range(1, 5)]
    values = {name: np.array([one[name] for one in each]) for name in each[0]}
    seen = {t: np.array([1.0, 2.0, -1.0]) * t**2 for t in (1, 2, 3, 4)}
    assert find_blend([*MEANS], values, seen, 1e-7) is None


def test_statistics_in_effect_are_read_off_an_evaluation() -> None:
    x, statistics = batch(4, 1), (np.array([1.0, -2.0, 3.0]), np.array([0.5, 2.0, 1e-3]))
    y = evaluated_by(x, statistics, GAMMA, BETA, _EPS)
    found = in_effect(x, y, GAMMA, BETA, ("scale, then shift", "inside"), _EPS)
    assert found is not None
    for got, expected in zip(found, statistics, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8)


def test_arrays_keep_their_bits_on_the_way() -> None:
    arrays = {"a": np.array([[0.1, -np.inf], [np.nan, 1e-320]]), "b": np.zeros((0, 3)), "n": [1, None, "x"]}
    back = from_line(to_line(arrays))
    assert back["n"] == arrays["n"]
    for name in ("a", "b"):
        np.testing.assert_array_equal(back[name], arrays[name])
