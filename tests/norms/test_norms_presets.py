"""The presets, judged by numbers that the frameworks they are named after gave in 100 training steps.

For preset tensorflow they are from `tf_keras.layers.BatchNormalization()` of tf_keras 2.21.0 on tensorflow-cpu 2.21.0;
`tf.compat.v1.layers.batch_normalization` gave the same statistics. For preset keras they are from
`keras.layers.BatchNormalization()` of keras 3.15.1 on that tensorflow. Both had gamma and beta as below, and inputs of
(N, H, W, C) in float32 on a CPU. Each number has six digits.
"""

import numpy as np
import pytest
import torch

from bnbench.config import NormConfig, Preset
from bnbench.norms import make_norm
from bnbench.reference import filter_response_norm

C, STEPS = 2, 100
GAMMA, BETA = [1.5, -0.5], [0.25, 2.0]

# These numbers do not depend on the preset: a batch is always normalized with its divisor N variance.
_ROWS = {
    "y": [1.98087, 1.27884, -0.35646, 2.34319, 1.26647, 1.80809],
    "dx": [-2.38216, 0.444266, -2.6735, 0.356719, 4.21856, -0.85934],
    "dgamma": [-0.813888, 1.92661],
    "dbeta": [-4.37267, -3.24081],
    "mean": [-0.15883, 0.92304],
}
_IMAGES = {
    "y": [2.07135, 2.53639, -0.194658, -0.501756, 1.37874, 1.02566],
    "dx": [-2.076, -0.798034, -2.61781, -2.913, 4.244, 1.74712],
    "dgamma": [-3.47629, -8.31868],
    "dbeta": [-13.0168, 30.6685],
    "mean": [-0.212574, 1.05057],
}
_ONE_IMAGE = {
    "y": [1.47197, 1.99164, -1.06022, -1.40339, 1.44103, 1.5739],
    "dx": [-0.628508, 0.520315, 0.126818, -0.018626, -0.426261, 0.325417],
    "dgamma": [0.304437, 4.93621],
    "dbeta": [-8.8085, 5.63086],
    "mean": [-0.25443, 1.11424],
}
_ONE_VALUE = {
    "y": BETA,
    "dx": [0.0, 0.0],
    "dgamma": [0.0, 0.0],
    "dbeta": [-2.40159, -1.29459],
    "mean": [-0.195714, 0.635723],
    "var": [0.366033, 0.366033],
    "inference": [0.391945, -0.35712],
}
_DIVISOR_N = {
    "var": [1.51504, 4.54598],
    "inference": [0.274908, 1.39768, -0.393801, 2.03131, 0.0462108, 1.54381],
}
EXPECTED = {
    ("keras", (4, 2)): _ROWS | _DIVISOR_N,
    ("tensorflow", (4, 2)): _ROWS | _DIVISOR_N,
    ("keras", (4, 2, 1, 1)): _ROWS | _DIVISOR_N,
    ("tensorflow", (4, 2, 1, 1)): _ROWS
    | {
        "var": [1.89804, 5.93929],
        "inference": [0.272255, 1.47303, -0.325228, 2.0274, 0.0679171, 1.60088],
    },
    ("keras", (2, 2, 2, 3)): _IMAGES
    | {
        "var": [1.68295, 5.88183],
        "inference": [0.335757, 1.06891, -0.298737, -0.492884, 0.118761, 0.708741],
    },
    ("tensorflow", (2, 2, 2, 3)): _IMAGES
    | {
        "var": [1.80267, 6.38326],
        "inference": [0.332862, 1.04127, -0.280213, -0.467806, 0.123192, 0.693255],
    },
    ("keras", (1, 2, 2, 2)): _ONE_IMAGE
    | {
        "var": [1.63615, 4.90566],
        "inference": [0.386042, 1.1296, -0.257457, -0.454358, 1.83442, 1.604],
    },
    ("tensorflow", (1, 2, 2, 2)): _ONE_IMAGE
    | {
        "var": [2.05953, 6.41887],
        "inference": [0.371263, 1.03405, -0.202329, -0.37784, 1.85525, 1.65381],
    },
    **{(preset, shape): _ONE_VALUE for preset in ("keras", "tensorflow") for shape in [(1, 2), (1, 2, 1, 1)]},
}


def wave(shape: tuple[int, ...], step: int) -> np.ndarray:
    """The batch of a step, (N, C) or (N, C, H, W), which was the same for all frameworks."""
    index = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    channel = np.arange(C, dtype=np.float64).reshape((1, C) + (1,) * (len(shape) - 2))
    drawn = np.sin(0.37 * (index + 1 + 100 * step) ** 2)
    return ((1 + channel) * (1 + step % 3) * drawn + 2 * channel - 0.5 + 0.1 * (step % 4)).astype(np.float32)


@pytest.mark.parametrize("impl", ["native", "manual"])
@pytest.mark.parametrize(("preset", "shape"), EXPECTED)
def test_a_preset_trains_and_infers_as_its_framework_over_a_hundred_steps(preset, shape, impl):
    norm = make_norm(NormConfig(name="batch", preset=Preset(preset), impl=impl, single_value="constant"), C)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor(GAMMA))
        norm.bias.copy_(torch.tensor(BETA))
    for step in range(STEPS):
        x = torch.from_numpy(wave(shape, step)).requires_grad_()
        y = norm(x)
        dout = torch.from_numpy(wave(shape, step + 1))
        dx, dgamma, dbeta = torch.autograd.grad(y, [x, norm.weight, norm.bias], dout)
    inference = norm.eval()(torch.from_numpy(wave(shape, 0)))
    statistics = {"mean": norm.running_mean, "var": norm.running_var}
    results = {"y": y, "dx": dx, "dgamma": dgamma, "dbeta": dbeta, "inference": inference, **statistics}
    for name, expected in EXPECTED[preset, shape].items():
        actual = results[name].detach().flatten()[:6]
        # The numbers have six digits, and float32 rounded them for a hundred steps; another divisor changes 7 to 33 %.
        torch.testing.assert_close(
            actual, torch.tensor(expected), rtol=2e-5, atol=2e-5, msg=lambda m, name=name: f"{name}: {m}"
        )


# Norms whose default eps is not that of batch norm

SMALL = [[0.001, -0.002, 0.003], [0.0005, 0.004, -0.001]]  # an eps of 1e-5 would halve their deviation


def test_rms_norm_of_small_inputs_is_that_of_torch():
    x = torch.tensor(SMALL)
    norm = make_norm(NormConfig(name="rms"), 3)
    torch.testing.assert_close(norm(x), torch.nn.RMSNorm(3)(x))
    assert norm.eps == torch.finfo(torch.float32).eps


@pytest.mark.parametrize("preset", [Preset.keras, Preset.tensorflow])
def test_rms_norm_of_small_inputs_is_that_of_keras(preset):
    expected = [[0.42008406, -0.8401681, 1.2602521], [0.19245008, 1.5396006, -0.38490015]]
    norm = make_norm(NormConfig(name="rms", preset=preset), 3)  # keras.layers.RMSNormalization() of keras 3.15.1
    torch.testing.assert_close(norm(torch.tensor(SMALL)), torch.tensor(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("preset", Preset)
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 5)])
def test_filter_response_norm_starts_as_a_norm_with_a_relu_after_it(shape, preset):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    norm = make_norm(NormConfig(name="filter_response", preset=preset), 3).double()
    eps = 1e-6 + float(np.float32(1e-4))  # the fixed part and the initial value of the learned part
    judge = filter_response_norm(x.numpy(), eps=eps)
    np.testing.assert_allclose(norm(x).detach().numpy(), np.maximum(judge, 0), rtol=1e-12, atol=1e-12)


def test_an_eps_in_the_configuration_wins_over_the_default_of_the_norm():
    for name in ("rms", "filter_response"):
        assert NormConfig(name=name, eps=0.5).resolved().eps == 0.5
