"""Scaling, judged by closed forms and by NumPy's own mean and standard deviation."""

import numpy as np
import pytest

from bnbench.data import DataError, ImageData, Split, scaling

ENDS = np.array([0, 255])


@pytest.fixture
def colours() -> ImageData:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), np.uint8)
    images[:, 1] //= 7
    return ImageData.from_arrays("toy", images, np.zeros(20, np.int64), classes=1, source="a test")


@pytest.fixture
def split() -> Split:
    rows = np.arange(20)
    return Split(rows[:12], rows[12:15], rows[15:])


@pytest.mark.parametrize(("kind", "ends"), [("raw", [0, 255]), ("unit", [0, 1]), ("symmetric", [-1, 1])])
def test_black_and_white_get_the_values_of_the_kind(kind, ends, colours, split):
    scale, shift = scaling(colours, split, kind)
    assert scale.shape == shift.shape == (3,)
    assert scale.dtype == shift.dtype == np.float32
    np.testing.assert_allclose(ENDS * scale[0] + shift[0], ends, rtol=1e-6)


def test_standard_gives_each_channel_zero_mean_and_unit_variance_over_train(colours, split):
    scale, shift = scaling(colours, split, "standard")
    x = colours.images[split.train].astype(np.float64) * scale[:, None, None] + shift[:, None, None]
    np.testing.assert_allclose(x.mean((0, 2, 3)), 0, atol=1e-6)  # scale and shift are float32
    np.testing.assert_allclose(x.var((0, 2, 3)), 1, rtol=1e-6)


def test_standard_is_exact_to_the_last_float32_digit(colours, split):
    train = colours.images[split.train].astype(np.float64)
    std, mean = train.std((0, 2, 3)), train.mean((0, 2, 3))
    scale, shift = scaling(colours, split, "standard")
    np.testing.assert_array_max_ulp(scale, (1 / std).astype(np.float32), maxulp=1)
    np.testing.assert_array_max_ulp(shift, (-mean / std).astype(np.float32), maxulp=1)


def test_standard_does_not_look_at_validation_or_test(colours, split):
    before = scaling(colours, split, "standard")
    colours.images[12:] = 255
    np.testing.assert_array_equal(before, scaling(colours, split, "standard"))


def test_white_images_do_not_overflow_the_sums(split):
    images = np.full((20, 1, 50, 50), 255, np.uint8)
    images[:, :, ::2] = 254
    data = ImageData.from_arrays("toy", images, np.zeros(20, np.int64), classes=1, source="a test")
    scale, shift = scaling(data, split, "standard")
    assert (scale.item(), shift.item()) == (2.0, -509.0)


def test_standard_refuses_a_constant_channel_by_its_number(colours, split):
    colours.images[:12, 1] = 9
    with pytest.raises(DataError, match="channel 1 of data=toy is constant"):
        scaling(colours, split, "standard")


def test_unknown_kind_is_refused_with_the_allowed_kinds(colours, split):
    with pytest.raises(
        DataError, match=r"data\.scaling=zscore is unknown; use unit, symmetric, standard, raw or binary"
    ):
        scaling(colours, split, "zscore")
