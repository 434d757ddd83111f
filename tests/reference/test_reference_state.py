"""The state of a NumPy batch norm: its initial values, its updates, and which errors are refused."""

import numpy as np
import pytest

from bnbench.reference import (
    batchnorm_forward,
    decay_to_momentum,
    momentum_to_decay,
    spatial_batchnorm_forward,
    torch_state,
    tutorial_state,
)

ONES, ZEROS = np.ones(2), np.zeros(2)


def batches(count: int, *, mean: float = 5.0, n: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [mean + 3 * rng.normal(size=(n, 2)) for _ in range(count)]


def test_the_running_variance_starts_at_zero_in_the_tutorials_and_at_one_in_torch():
    assert tutorial_state(3)["running_var"].tolist() == [0, 0, 0]
    assert torch_state(3)["running_var"].tolist() == [1, 1, 1]
    assert tutorial_state(3)["running_mean"].tolist() == torch_state(3)["running_mean"].tolist() == [0, 0, 0]


def test_before_any_training_the_two_starts_differ_by_one_over_root_eps():
    x = batches(1)[0]
    torch_output, _ = batchnorm_forward(x, ONES, ZEROS, torch_state(2, mode="test", eps=1e-5))
    tutorial_output, _ = batchnorm_forward(x, ONES, ZEROS, tutorial_state(2, mode="test", eps=1e-5))
    np.testing.assert_allclose(torch_output, x / np.sqrt(1 + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(tutorial_output, x * np.sqrt(1e5), rtol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("momentum", [0, 0.1, 0.25, 1])
def test_statistics_are_carried_from_call_to_call(momentum, ddof):
    state = torch_state(2, momentum=momentum, ddof=ddof)
    mean, var = np.zeros(2), np.ones(2)
    for x in batches(7, n=5):
        batchnorm_forward(x, ONES, ZEROS, state)
        mean = (1 - momentum) * mean + momentum * x.mean(axis=0)
        var = (1 - momentum) * var + momentum * x.var(axis=0, ddof=ddof)
        np.testing.assert_allclose(state["running_mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(state["running_var"], var, rtol=1e-12)


def test_the_running_mean_is_the_closed_form_weighted_sum():
    state, data = tutorial_state(2, momentum=0.25), batches(6)
    for x in data:
        batchnorm_forward(x, ONES, ZEROS, state)
    weights = [0.25 * 0.75 ** (5 - i) for i in range(6)]
    judge = sum(w * x.mean(axis=0) for w, x in zip(weights, data, strict=True))
    np.testing.assert_allclose(state["running_mean"], judge, rtol=1e-12)


def test_test_mode_uses_the_running_statistics_and_does_not_change_them():
    state = torch_state(2, eps=1e-3)
    for x in batches(5):
        batchnorm_forward(x, ONES, ZEROS, state)
    state["mode"] = "test"
    mean, var, x = state["running_mean"].copy(), state["running_var"].copy(), batches(1)[0]
    y, _ = batchnorm_forward(x, 2 * ONES, ONES, state)
    np.testing.assert_allclose(y, 2 * (x - mean) / np.sqrt(var + 1e-3) + 1, rtol=1e-12)
    np.testing.assert_array_equal(state["running_mean"], mean)
    np.testing.assert_array_equal(state["running_var"], var)


def test_arrays_taken_out_of_the_state_are_not_written_into():
    state = torch_state(2)
    before = state["running_mean"]
    batchnorm_forward(batches(1)[0], ONES, ZEROS, state)
    assert before.tolist() == [0, 0]
    assert state["running_mean"].min() > 0


def test_missing_statistics_are_added_in_train_mode():
    bare = {"mode": "train", "eps": 1e-5, "momentum": 0.1}
    complete = tutorial_state(2)
    for x in batches(3):
        batchnorm_forward(x, ONES, ZEROS, bare)
        batchnorm_forward(x, ONES, ZEROS, complete)
    np.testing.assert_array_equal(bare["running_mean"], complete["running_mean"])
    np.testing.assert_array_equal(bare["running_var"], complete["running_var"])


def copied_forward(x: np.ndarray, bn_param: dict, mean_key: str) -> np.ndarray:
    """Batch norm as tutorials copy it from each other; it stores the running mean under `mean_key`."""
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=0), x.var(axis=0)
        running_mean, running_var = 0.9 * running_mean + 0.1 * mean, 0.9 * running_var + 0.1 * var
    else:
        mean, var = running_mean, running_var
    bn_param[mean_key], bn_param["running_var"] = running_mean, running_var
    return (x - mean) / np.sqrt(var + 1e-5)


def test_a_misspelt_key_loses_the_running_mean_and_only_test_mode_shows_it():
    right, misspelt, state = {"mode": "train"}, {"mode": "train"}, tutorial_state(2)
    for x in batches(100):
        outputs = [copied_forward(x, right, "running_mean"), copied_forward(x, misspelt, "runing_mean")]
        y, _ = batchnorm_forward(x, ONES, ZEROS, state)
        np.testing.assert_array_equal(*outputs)  # train mode gives the same
        np.testing.assert_allclose(y, outputs[0], rtol=1e-12)
    for bn_param in (right, misspelt, state):
        bn_param["mode"] = "test"
    x = batches(1, n=1000)[0]
    y, _ = batchnorm_forward(x, ONES, ZEROS, state)
    np.testing.assert_allclose(y, copied_forward(x, right, "running_mean"), rtol=1e-12)
    shifted = copied_forward(x, misspelt, "runing_mean")
    assert np.abs(y.mean(axis=0)).max() < 0.2  # two standard errors of the running mean, 3 / 20 / 3
    assert shifted.mean(axis=0).min() > 1.5  # every output is shifted by mean / deviation = 5 / 3


@pytest.mark.parametrize("key", ["runing_mean", "running_men", "epsilon", "decay", "Mode"])
def test_an_unknown_key_is_refused_by_name(key):
    with pytest.raises(ValueError, match=rf"unknown keys \['{key}'\].*running_mean"):
        batchnorm_forward(batches(1)[0], ONES, ZEROS, {**torch_state(2), key: 0.5})


@pytest.mark.parametrize("key", ["mode", "eps", "momentum"])
def test_mode_eps_and_momentum_have_no_hidden_default(key):
    state = torch_state(2)
    del state[key]
    with pytest.raises(ValueError, match=rf"lacks \['{key}'\].*torch_state"):
        batchnorm_forward(batches(1)[0], ONES, ZEROS, state)


@pytest.mark.parametrize("mode", ["trian", "eval", "Train", "", None, True])
@pytest.mark.parametrize("spatial", [False, True])
def test_an_invalid_mode_is_refused_and_the_modes_are_named(mode, spatial):
    forward = spatial_batchnorm_forward if spatial else batchnorm_forward
    x = np.zeros((3, 2, 2, 2) if spatial else (3, 2))
    with pytest.raises(ValueError, match=rf"mode={mode!r}.*train, test"):
        forward(x, ONES, ZEROS, torch_state(2, mode=mode))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("momentum", 1.5),
        ("momentum", -0.1),
        ("momentum", np.nan),
        ("eps", -1e-5),
        ("eps", np.inf),
        ("eps", np.nan),
        ("ddof", 2),
        ("running_mean", np.zeros(1)),
        ("running_var", np.zeros((1, 2))),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_key(key, value):
    with pytest.raises(ValueError, match=key):
        batchnorm_forward(batches(1)[0], ONES, ZEROS, {**torch_state(2), key: value})


@pytest.mark.parametrize("missing", [["running_mean"], ["running_var"], ["running_mean", "running_var"]])
def test_test_mode_without_statistics_is_refused(missing):
    state = {key: value for key, value in torch_state(2, mode="test").items() if key not in missing}
    with pytest.raises(ValueError, match=r"'test' needs running_mean and running_var"):
        batchnorm_forward(batches(1)[0], ONES, ZEROS, state)


def test_decay_and_momentum_are_the_two_weights_of_one_average():
    assert decay_to_momentum(0.99) == pytest.approx(0.01, rel=1e-12)
    assert momentum_to_decay(decay_to_momentum(0.75)) == 0.75
    state, decay, average = tutorial_state(2, momentum=decay_to_momentum(0.99)), 0.99, np.zeros(2)
    for x in batches(10):
        batchnorm_forward(x, ONES, ZEROS, state)
        average = average * decay + x.mean(axis=0) * (1 - decay)
    np.testing.assert_allclose(state["running_mean"], average, rtol=1e-12)


@pytest.mark.parametrize("convert", [decay_to_momentum, momentum_to_decay])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_zero_to_one_is_not_converted(convert, value):
    with pytest.raises(ValueError, match="allowed: 0 to 1"):
        convert(value)
