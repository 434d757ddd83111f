"""Distributions of unit inputs, judged by NumPy one unit at a time and by made-up units whose answer is plain."""

import numpy as np
import pytest
import torch

from bnbench.training.measures.activations import PERCENTILES, Units, dead, describe, drift, largest, saturated


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [1, 2, 7, 21, 100])
def test_units_are_described_as_by_numpy(n):
    values = draw(n, 3, 5, n)
    units = describe(values)
    exact = values.numpy().astype(float)
    np.testing.assert_allclose(units.percentiles, np.moveaxis(np.percentile(exact, PERCENTILES, axis=2), 0, 2), 1e-12)
    np.testing.assert_allclose(units.mean, exact.mean(2), rtol=1e-12)
    np.testing.assert_allclose(units.variance, exact.var(2), rtol=1e-9)


def test_some_trials_units_are_theirs():
    units = describe(draw(0, 4, 3, 9))
    again = describe(draw(0, 4, 3, 9)[[2, 0]])
    assert all(torch.equal(a, b) for a, b in zip(units.of([2, 0]), again, strict=True))


def written_out(before: list[Units], now: list[Units], k: int) -> list[float]:
    """Drift of one trial, unit by unit."""
    layers = []
    for was, is_ in zip(before, now, strict=True):
        moved, spread = np.zeros(3), np.zeros(3)
        for c in range(was.mean.shape[1]):
            p, q = was.percentiles[k, c].numpy(), is_.percentiles[k, c].numpy()
            moved += [
                sum(abs(q[i] - p[i]) for i in range(3)) / 3,
                abs(float(is_.mean[k, c] - was.mean[k, c])),
                abs(float(is_.variance[k, c] - was.variance[k, c])),
            ]
            spread += [p[2] - p[0], float(was.variance[k, c]) ** 0.5, float(was.variance[k, c])]
        layers.append(moved / spread)
    return np.mean(layers, axis=0).tolist()


def test_drift_is_what_a_loop_over_units_finds():
    before = [describe(draw(seed, 3, width, 50)) for seed, width in ((0, 4), (1, 6))]
    now = [describe(draw(seed, 3, width, 50) * 1.5 + 0.3) for seed, width in ((2, 4), (3, 6))]
    found = torch.stack(drift(before, now), 1)
    for k in range(3):
        assert found[k].tolist() == pytest.approx(written_out(before, now, k), rel=1e-9)


def test_drift_of_a_shift_and_of_a_stretch():
    values = draw(0, 2, 4, 200).double()
    still = drift([describe(values)], [describe(values)])
    assert [part.tolist() for part in still] == [[0, 0]] * 3
    sd = values.std(2, correction=0, keepdim=True)
    percentiles, mean, variance = drift([describe(values)], [describe(values + 0.5 * sd)])
    assert mean.tolist() == pytest.approx([0.5, 0.5])
    assert variance.tolist() == pytest.approx([0, 0], abs=1e-12)
    assert percentiles.tolist() == pytest.approx([0.24, 0.24], abs=0.03), "85 - 15 is 2.07 deviations of a normal"
    centered = values - values.mean(2, keepdim=True)
    percentiles, mean, variance = drift([describe(centered)], [describe(2 * centered)])
    assert mean.tolist() == pytest.approx([0, 0], abs=1e-12)
    assert variance.tolist() == pytest.approx([3, 3])


def test_drift_is_the_same_in_any_unit_of_the_inputs():
    a, b = draw(0, 2, 4, 60).double(), draw(1, 2, 4, 60).double()
    one, thousand = (drift([describe(c * a)], [describe(c * b)]) for c in (1, 1000))
    for x, y in zip(one, thousand, strict=True):
        assert x.tolist() == pytest.approx(y.tolist(), rel=1e-9)


def test_saturated_is_the_share_beyond_4_by_layer():
    first = torch.tensor([[[5.0, -5.0, 4.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]])  # (2, 1, 4): exactly 4 is not beyond
    second = torch.tensor([[[-4.5, 1.0], [2.0, 3.0]], [[9.0, 9.0], [9.0, 9.0]]])
    assert saturated([first, second]).tolist() == [(0.5 + 0.25) / 2, 0.5]


def test_dead_units_are_those_whose_output_never_changes():
    lowest = [torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0], [0.0]])]
    highest = [torch.tensor([[0.0, 2.0], [1.0, 1.0]]), torch.tensor([[3.0], [0.0]])]
    assert dead(lowest, highest).tolist() == [0.25, 1.0]


def test_the_largest_input_may_be_negative_and_in_any_layer():
    layers = [torch.tensor([[[1.0, -7.0]], [[1.0, 2.0]]]), torch.tensor([[[3.0, 3.0]], [[4.0, -3.0]]])]
    assert largest(layers).tolist() == [7, 4]
