"""Every norm, value by value: outputs, gradients and running statistics, each judged by two or three judges.

The judges are the NumPy oracles of `bnbench.reference` (with the gradient in closed form), autograd of the paper's
formula written out in plain torch, and `torch.nn` if it has the norm. In double precision all agree to 1e-12 after
three training steps, and to 1e-11 after a hundred: errors in running statistics do not show in one batch.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bnbench import reference
from bnbench.norms.batch import BatchNorm
from bnbench.norms.channel_norm import ChannelNorm
from bnbench.norms.filter_response import FilterResponseNorm
from bnbench.norms.frozen import FrozenBatchNorm
from bnbench.norms.ghost import GhostBatchNorm
from bnbench.norms.group import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bnbench.norms.manual import ManualBatchNorm
from bnbench.norms.noisy import NoisyBatchNorm
from bnbench.norms.online import OnlineNorm
from bnbench.norms.renorm import BatchRenorm
from bnbench.tensors.seeding import generator

# A norm multiplies an error by 1 / sqrt(eps) = 32 at most, which it does on a nearly constant map.
EPS, MOMENTUM, C, GROUPS, STEPS, LR = 1e-3, 0.3, 9, 3, 3, 0.01

CASES = {
    "batch": (BatchNorm, {}),
    "batch_divisor_N": (BatchNorm, {"unbiased": False}),
    "batch_fused": (BatchNorm, {"fused": True}),
    "batch_cumulative": (BatchNorm, {"cumulative": True}),
    "batch_cumulative_divisor_N": (BatchNorm, {"cumulative": True, "unbiased": False}),
    "batch_constant": (BatchNorm, {"constant": True}),
    "batch_constant_cumulative": (BatchNorm, {"constant": True, "cumulative": True}),
    "batch_constant_divisor_N": (BatchNorm, {"constant": True, "unbiased": False}),
    "batch_constant_fused": (BatchNorm, {"constant": True, "fused": True}),
    "batch_written_out_fused": (ManualBatchNorm, {"fused": True}),
    "batch_written_out": (ManualBatchNorm, {}),
    "batch_written_out_divisor_N": (ManualBatchNorm, {"unbiased": False}),
    "frozen": (FrozenBatchNorm, {}),
    "noisy": (NoisyBatchNorm, {"shift": 0.4, "scale": 1.5}),
    "online": (OnlineNorm, {"decay_forward": 0.9, "decay_backward": 0.8}),
    "ghost_1": (GhostBatchNorm, {"ghost_size": 1}),
    "ghost_2": (GhostBatchNorm, {"ghost_size": 2}),
    "ghost_3": (GhostBatchNorm, {"ghost_size": 3}),
    "ghost_3_divisor_N": (GhostBatchNorm, {"ghost_size": 3, "unbiased": False}),
    "ghost_1_fused": (GhostBatchNorm, {"ghost_size": 1, "constant": True, "fused": True}),
    "ghost_3_fused": (GhostBatchNorm, {"ghost_size": 3, "fused": True}),
    "ghost_3_cumulative": (GhostBatchNorm, {"ghost_size": 3, "cumulative": True}),
    "renorm_clipped": (BatchRenorm, {"r_max": 1.1, "d_max": 0.2}),
    "renorm_unclipped": (BatchRenorm, {"r_max": 1e9, "d_max": 1e9}),
    "renorm_warming_up": (BatchRenorm, {"r_max": 1.4, "d_max": 0.6, "warmup_steps": 2}),
    "renorm_without_room": (BatchRenorm, {"r_max": 1.0, "d_max": 0.0}),
    "renorm_cumulative": (BatchRenorm, {"r_max": 1.1, "cumulative": True}),
    "renorm_constant": (BatchRenorm, {"r_max": 1.1, "d_max": 0.8, "constant": True}),
    "renorm_constant_unclipped": (BatchRenorm, {"r_max": 1e9, "d_max": 1e9, "constant": True}),
    "layer": (LayerNorm, {}),
    "instance": (InstanceNorm, {}),
    "group": (GroupNorm, {"groups": GROUPS}),
    "rms": (RMSNorm, {}),
    "filter_response": (FilterResponseNorm, {}),
}
SHAPES = [(6, C), (2, C), (1, C), (3, C, 2, 5), (2, C, 5, 3), (1, C, 4, 1), (6, C, 1, 1), (1, C, 1, 1)]
STATISTICS = ("running_mean", "running_var", "running_std")
OTHER_STATE = {"precise_mean", "precise_var", "batches", "seeds", "steps", "error_along_y", "error_along_one"}
"""Buffers that outputs show, or that tests of their own are about."""
GROUPS_OF = {"layer": 1, "rms": 1, "group": GROUPS, "instance": C, "filter_response": C}


def positions(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape[2:]))


def defined(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the norm can be trained on that shape: ghost batches divide N, and no single value must be normalized."""
    cls, norm_settings = CASES[name]
    size = norm_settings.get("ghost_size", shape[0])
    over_batch = issubclass(cls, BatchNorm) and cls is not FrozenBatchNorm
    single = over_batch and size * positions(shape) == 1 and "constant" not in norm_settings
    return shape[0] % size == 0 and not single


def ddof_of(name: str, shape: tuple[int, ...]) -> int:
    """The running variance's ddof: its divisor is N - ddof, with N values per channel in a part of that shape."""
    norm_settings = CASES[name][1]
    if norm_settings.get("fused"):
        return int(len(shape) == 4 and shape[0] * positions(shape) > 1)
    return int(norm_settings.get("unbiased", True))


# Autograd of the formula can judge neither the controlled gradient of online norm nor the noise of noisy batch norm.
WITH_FORMULA = [name for name in CASES if name not in ("noisy", "online")]
PAIRS = [(name, shape) for name in CASES for shape in SHAPES if defined(name, shape)]
over_cases = pytest.mark.parametrize(("name", "shape"), PAIRS)
with_and_without_affine = pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])


def make(name: str, *, affine: bool = True, dtype: torch.dtype = torch.float64, trial: int = 0) -> ChannelNorm:
    """The norm with random parameters and statistics; some of the parameters are negative."""
    cls, norm_settings = CASES[name]
    if issubclass(cls, BatchNorm) and cls is not FrozenBatchNorm:
        norm_settings = {"momentum": MOMENTUM / (1 + trial), **norm_settings}
    norm = cls(C, eps=EPS, affine=affine, **norm_settings).to(dtype)
    if isinstance(norm, NoisyBatchNorm):
        norm.reseed(trial)
    g = torch.Generator().manual_seed(7 + trial)
    with torch.no_grad():
        for key, value in norm.state_dict().items():
            random_values = torch.randn(value.shape, generator=g, dtype=torch.float64)
            value.copy_(0.5 + random_values.abs() if key in STATISTICS[1:] else random_values)
    return norm


@pytest.mark.parametrize("name", CASES)
def test_every_buffer_of_a_norm_is_compared_with_its_judges(name: str) -> None:
    assert {key for key, _ in make(name).named_buffers()} <= {*STATISTICS} | OTHER_STATE


def batches(
    shape: tuple[int, ...], *, seed: int = 1, offset: float = 0.0, steps: int = STEPS
) -> Iterator[tuple[Tensor, Tensor]]:
    """An input and an upstream gradient for each step; steps differ in offset and scale."""
    g = torch.Generator().manual_seed(seed)
    for step in range(steps):
        x, dout = torch.randn((2, *shape), generator=g, dtype=torch.float64)
        yield offset + (1 + step % 7) * x + 0.7 * (step % 5), dout


def play(norm: nn.Module, steps: list[tuple[Tensor, Tensor]]) -> dict[str, np.ndarray]:
    """Outputs, gradients and statistics of training steps with plain SGD, with an evaluation after each step."""
    record: dict[str, Tensor] = {}
    for step, (x, dout) in enumerate(steps):
        leaf = x.clone().requires_grad_()
        y = norm.train()(leaf)
        names = ["x", *dict(norm.named_parameters())]
        grads = torch.autograd.grad(y, [leaf, *norm.parameters()], dout)
        record |= {f"y, step {step}": y} | {f"d{k}, step {step}": g for k, g in zip(names, grads, strict=True)}
        with torch.no_grad():
            for p, g in zip(norm.parameters(), grads[1:], strict=True):
                p -= LR * g
        stats = {key: getattr(norm, key, None) for key in STATISTICS}
        record |= {f"{key}, step {step}": value.clone() for key, value in stats.items() if value is not None}
        record[f"y evaluated, step {step}"] = norm.eval()(x)
    return {key: value.detach().numpy() for key, value in record.items()}


def assert_agree(actual: dict[str, np.ndarray], judge: dict[str, np.ndarray], *, tolerance: float = 1e-12) -> None:
    assert actual.keys() == judge.keys()
    for key, value in actual.items():
        assert value.shape == judge[key].shape, key
        np.testing.assert_allclose(value, judge[key], rtol=tolerance, atol=tolerance, err_msg=key)


def limits(name: str, step: int) -> dict[str, float]:
    """r_max and d_max of batch renorm at a step, by the definition of the warm-up."""
    norm_settings = {"r_max": 3.0, "d_max": 5.0, "warmup_steps": 0, **CASES[name][1]}
    steps = norm_settings["warmup_steps"]
    share = min(1, step / steps) if steps else 1
    return {"r_max": 1 + share * (norm_settings["r_max"] - 1), "d_max": share * norm_settings["d_max"]}


def folded(tensors: tuple[Tensor, ...]) -> Tensor:
    """K activations of (N, C, ...) as a pack stores them: feature-major in 2-D, channels_last in 4-D."""
    x = torch.cat(tensors, 1)
    return x.t().contiguous().t() if x.dim() == 2 else x.contiguous(memory_format=torch.channels_last)


class Formula(nn.Module):
    """The formulas of the papers in plain operations of torch, which autograd differentiates."""

    def __init__(self, name: str, norm: ChannelNorm) -> None:
        super().__init__()
        self.name, self.settings = name, CASES[name][1]
        self.step = self.blended = 0
        for key, value in norm.named_parameters():
            self.register_parameter(key, nn.Parameter(value.detach().clone()))
        if isinstance(norm, BatchNorm):
            for key in STATISTICS:
                if hasattr(norm, key):
                    setattr(self, key, getattr(norm, key).clone())

    def forward(self, x: Tensor) -> Tensor:
        kind = self.name.split("_")[0]
        if kind not in ("batch", "ghost", "renorm", "frozen"):
            return self.per_example(x)
        if not self.training or kind == "frozen":
            std = self.running_std if kind == "renorm" else (self.running_var + EPS) ** 0.5
            return self.affine((x - self.column(self.running_mean, x)) / self.column(std, x))
        parts = x.split(self.settings.get("ghost_size", len(x)))
        return torch.cat([self.over_batch(part) for part in parts])

    def over_batch(self, x: Tensor) -> Tensor:
        axes = (0, *range(2, x.dim()))
        mean = x.mean(axes, keepdim=True)
        var = ((x - mean) ** 2).mean(axes, keepdim=True)
        std = (var + EPS) ** 0.5
        y = (x - mean) / std
        renorm = self.name.startswith("renorm")
        if renorm:
            limit = limits(self.name, self.step)
            running_std = self.column(self.running_std, x)
            r = (std / running_std).detach().clip(1 / limit["r_max"], limit["r_max"])
            d = (
                ((mean - self.column(self.running_mean, x)) / running_std)
                .detach()
                .clip(-limit["d_max"], limit["d_max"])
            )
            y = y * r + d
        self.step += 1
        self.blended += 1
        m = 1 / self.blended if self.settings.get("cumulative") else MOMENTUM
        n, ddof = x.numel() // x.shape[1], ddof_of(self.name, x.shape)
        self.running_mean = (1 - m) * self.running_mean + m * mean.detach().flatten()
        if renorm:
            self.running_std = (1 - m) * self.running_std + m * std.detach().flatten()
        elif n > ddof:
            self.running_var = (1 - m) * self.running_var + m * var.detach().flatten() * n / (n - ddof)
        return self.affine(y)

    def per_example(self, x: Tensor) -> Tensor:
        grouped = x.reshape(len(x), GROUPS_OF[self.name], -1)
        if self.name in ("rms", "filter_response"):
            eps = EPS + (self.learned_eps.abs()[None, :, None] if self.name == "filter_response" else 0)
            y = grouped / ((grouped**2).mean(2, keepdim=True) + eps) ** 0.5
        else:
            mean = grouped.mean(2, keepdim=True)
            y = (grouped - mean) / (((grouped - mean) ** 2).mean(2, keepdim=True) + EPS) ** 0.5
        y = self.affine(y.reshape(x.shape))
        if self.name == "filter_response":
            tau = self.column(self.threshold, x)
            y = torch.where(y > tau, y, tau)
        return y

    def affine(self, y: Tensor) -> Tensor:
        if not hasattr(self, "weight"):
            return y
        return self.column(self.weight, y) * y + self.column(self.bias, y)

    @staticmethod
    def column(values: Tensor, x: Tensor) -> Tensor:
        return values.reshape(1, -1, *[1] * (x.dim() - 2))


class Oracle:
    """The functions of `bnbench.reference`, and gradients in closed form, in NumPy and double precision."""

    def __init__(self, name: str, norm: ChannelNorm) -> None:
        self.name, self.settings = name, CASES[name][1]
        self.p = {key: value.detach().numpy().astype(np.float64) for key, value in norm.named_parameters()}
        self.gamma, self.beta = self.p.get("weight", np.ones(C)), self.p.get("bias", np.zeros(C))
        self.stats = {key: getattr(norm, key).numpy().astype(np.float64) for key in STATISTICS if hasattr(norm, key)}
        self.blended = 0
        self.norm = norm  # gives its constants and the noise that it draws, nothing else
        if name == "online":
            zeros = np.zeros(C)
            self.online = reference.OnlineNormState(*self.stats.values(), zeros, zeros)

    def play(self, steps: list[tuple[Tensor, Tensor]]) -> dict[str, np.ndarray]:
        """The record of `play`, above."""
        record: dict[str, np.ndarray] = {}
        for step, pair in enumerate(steps):
            x, dout = (tensor.numpy().astype(np.float64) for tensor in pair)
            y, grads = self.over_batch(x, dout, step) if self.stats else self.per_example(x, dout)
            record |= {f"y, step {step}": y, f"dx, step {step}": grads["x"]}
            record |= {f"d{key}, step {step}": grads[key] for key in self.p}
            for key, value in self.p.items():
                value -= LR * grads[key]
            record |= {f"{key}, step {step}": value for key, value in self.stats.items()}
            record[f"y evaluated, step {step}"] = self.evaluated(x, dout)
        return record

    def evaluated(self, x: np.ndarray, dout: np.ndarray) -> np.ndarray:
        if not self.stats:
            return self.per_example(x, dout)[0]
        if self.name.startswith("renorm"):
            return self.renormed(x, "test", self.stats, limits(self.name, 0))[0]
        y = self.passes(x)[0](x, self.gamma, self.beta, self.state(x, "test"))[0]
        return y.clip(-5, 5) if self.name == "online" else y

    def state(self, x: np.ndarray, mode: str) -> reference.BatchNormState:
        momentum = 0.0 if self.name == "online" else self.norm.momenta[0]
        if self.settings.get("cumulative") and self.blended:
            momentum = 1 / self.blended
        return {"mode": mode, "eps": EPS, "momentum": momentum, "ddof": ddof_of(self.name, x.shape), **self.stats}

    @staticmethod
    def passes(x: np.ndarray):
        if x.ndim == 2:
            return reference.batchnorm_forward, reference.batchnorm_backward
        return reference.spatial_batchnorm_forward, reference.spatial_batchnorm_backward

    def over_batch(self, x: np.ndarray, dout: np.ndarray, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        if self.name.startswith("renorm"):
            return self.renorm(x, dout, limits(self.name, step))
        if self.name == "online":
            return self.one_by_one(x, dout)
        forward, backward = self.passes(x)
        if self.name == "frozen":
            y, cache = forward(x, self.gamma, self.beta, self.state(x, "test"))
            return y, dict(zip(("x", "weight", "bias"), backward(dout, cache), strict=True))
        m, s = self.noise(x, step) if self.name == "noisy" else (0.0, 1.0)
        dout = dout * s
        count = len(x) // self.settings.get("ghost_size", len(x))
        before = self.state(x[: len(x) // count], "train")
        parts = []
        for part, upstream in zip(np.split(x, count), np.split(dout, count), strict=True):
            self.blended += 1
            state = self.state(part, "train")
            y, cache = forward(part, self.gamma, self.beta, state)
            self.stats = {key: state[key] for key in self.stats}
            parts.append((y, *backward(upstream, cache)))
        y, dx, dgamma, dbeta = (list(values) for values in zip(*parts, strict=True))
        grads = {"x": np.concatenate(dx), "weight": sum(dgamma), "bias": sum(dbeta)}
        if self.name.startswith("ghost") and "cumulative" not in self.settings:
            ghosts = reference.ghost_batch_norm(x, self.gamma, self.beta, before, ghost_size=len(x) // count)
            np.testing.assert_array_equal(before["running_var"], self.stats["running_var"])
            return ghosts, grads
        return np.concatenate(y) * s + m, grads

    def noise(self, x: np.ndarray, step: int) -> list[np.ndarray]:
        """The noise that the layer draws, m and s of the shape of x. Another test judges its distribution."""
        rows = torch.empty(C, len(x), positions(x.shape), dtype=self.norm.running_mean.dtype)
        m_and_s = self.norm._draw(generator(int(self.norm.seeds[0]), "noise", step), rows)
        return [value.double().numpy().transpose(1, 0, 2).reshape(x.shape) for value in m_and_s]

    def one_by_one(self, x: np.ndarray, dout: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Online norm: one example of the batch after the other, with the output clamped to ±5."""
        flat, upstream = (value.reshape(*x.shape[:2], -1) for value in (x, dout))  # (N, C, P)
        gamma, beta = self.gamma[:, None], self.beta[:, None]
        x_hat, std, state = reference.online_norm_forward(flat, self.online, decay=0.9, eps=EPS)
        y = gamma * x_hat + beta
        upstream = np.where(np.abs(y) <= 5, upstream, 0)
        dx, self.online = reference.online_norm_backward(upstream * gamma, x_hat, std, state, decay=0.8)
        self.stats = {"running_mean": self.online.mean, "running_var": self.online.variance}
        grads = {"weight": (upstream * x_hat).sum((0, 2)), "bias": upstream.sum((0, 2)), "x": dx.reshape(x.shape)}
        return y.clip(-5, 5).reshape(x.shape), grads

    def renorm(self, x, dout, limit) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Batch renorm; its gradient is that of a batch norm whose gamma is r times as large."""
        forward, backward = self.passes(x)
        self.blended += 1
        before = dict(self.stats)
        y, *after = self.renormed(x, "train", before, limit)
        self.stats = dict(zip(before, after, strict=True))
        mean, var = reference.moments(x, axes=(0, *range(2, x.ndim)))
        r, d = reference.renorm_correction(mean, np.sqrt(var + EPS), *before.values(), **limit)
        _, cache = forward(x, self.gamma * r, self.beta, reference.torch_state(C, eps=EPS))
        dx, dgamma, dbeta = backward(dout, cache)
        return y, {"x": dx, "weight": dgamma * r + dbeta * d, "bias": dbeta}  # gamma is multiplied by x_hat * r + d

    def renormed(self, x, mode, stats, limit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        momentum = self.state(x, mode)["momentum"]
        settings = {"mode": mode, "momentum": momentum, "eps": EPS, **limit}
        return reference.batch_renorm(x, self.gamma, self.beta, stats["running_mean"], stats["running_std"], **settings)

    def per_example(self, x: np.ndarray, dout: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        column = (-1,) + (1,) * (x.ndim - 2)
        axes = (0, *range(2, x.ndim))
        gamma, beta = self.gamma.reshape(column), self.beta.reshape(column)
        rows = x.reshape(len(x) * GROUPS_OF[self.name], -1)
        grads = {}
        eps = np.full((len(rows), 1), EPS)
        if self.name == "filter_response":
            learned = self.p["learned_eps"]
            eps += np.tile(np.abs(learned), len(x))[:, None]
            linear = reference.filter_response_norm(x, self.gamma, self.beta, eps=EPS + np.abs(learned))
            y = reference.filter_response_norm(x, self.gamma, self.beta, self.p["threshold"], eps=EPS + np.abs(learned))
            passed = linear > self.p["threshold"].reshape(column)
            grads["threshold"] = np.where(passed, 0, dout).sum(axes)
            dout = np.where(passed, dout, 0)
        elif self.name == "rms":
            y = reference.rms_norm(x, self.gamma, eps=EPS) + beta
        elif self.name == "layer":
            y = reference.layer_norm(x, self.gamma, self.beta, eps=EPS)
        elif self.name == "instance" and x.ndim == 4:
            y = reference.instance_norm(x, self.gamma, self.beta, eps=EPS)
        else:
            y = reference.group_norm(x, GROUPS_OF[self.name], self.gamma, self.beta, eps=EPS)
        upstream = (dout * gamma).reshape(rows.shape)
        if self.name in ("rms", "filter_response"):
            root = np.sqrt((rows**2).mean(1, keepdims=True) + eps)
            x_hat = rows / root
            dx = (upstream - x_hat * (upstream * x_hat).mean(1, keepdims=True)) / root
            slope = -0.5 * (upstream * x_hat).sum(1, keepdims=True) / root**2  # the gradient by eps, one per row
            if self.name == "filter_response":
                grads["learned_eps"] = np.sign(learned) * slope.reshape(len(x), C).sum(0)
        else:  # the values that are normalized together are on the oracle's batch axis
            ones = np.ones(len(rows))
            _, cache = reference.batchnorm_forward(rows.T, ones, 0 * ones, reference.tutorial_state(len(rows), eps=EPS))
            x_hat, dx = cache.x_hat.T, reference.batchnorm_backward(upstream.T, cache)[0].T
        grads |= {"weight": (dout * x_hat.reshape(x.shape)).sum(axes), "bias": dout.sum(axes)}
        return y, {**grads, "x": dx.reshape(x.shape)}


def in_parts(layer: type[nn.Module], size: int) -> type[nn.Module]:
    """Torch's batch norm, which in training normalizes each part of `size` examples after the other."""

    class Parts(layer):
        def forward(self, x: Tensor) -> Tensor:
            parts = x.split(size) if self.training else [x]
            return torch.cat([super(Parts, self).forward(part) for part in parts])

    return Parts


class TorchRMS(nn.RMSNorm):
    """Torch's RMS norm, but with a weight and a bias per channel: torch's has a weight per element and no bias."""

    def __init__(self, shape: tuple[int, ...], *, affine: bool) -> None:
        super().__init__(shape[1:], eps=EPS, elementwise_affine=False)
        self.weight, self.bias = ((nn.Parameter(torch.ones(C)) if affine else None) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = F.rms_norm(x, self.normalized_shape, None, EPS)
        column = (C,) + (1,) * (x.dim() - 2)
        return y if self.weight is None else y * self.weight.view(column) + self.bias.view(column)


def torchs(name: str, shape: tuple[int, ...], norm: ChannelNorm, *, affine: bool) -> nn.Module | None:
    """The same norm of `torch.nn`, or None if torch has none or refuses the shape."""
    cls, norm_settings = CASES[name]
    part = (norm_settings.get("ghost_size", shape[0]), *shape[1:])
    flat, values = len(shape) == 2, part[0] * positions(shape)
    twin: nn.Module | None = None
    if name in ("layer", "group") or (name == "instance" and positions(shape) == 1 and values > 1):
        twin = nn.GroupNorm(GROUPS_OF[name], C, eps=EPS, affine=affine)
        if name == "layer" and flat:
            twin = nn.LayerNorm(C, eps=EPS, elementwise_affine=affine)
    elif name == "instance" and positions(shape) > 1:
        twin = nn.InstanceNorm2d(C, eps=EPS, affine=affine)
    elif name == "rms":
        twin = TorchRMS(shape, affine=affine)
    elif issubclass(cls, BatchNorm) and values > 1 and ddof_of(name, part):
        if cls in (BatchRenorm, FrozenBatchNorm, NoisyBatchNorm):
            return None
        momentum = None if norm_settings.get("cumulative") else MOMENTUM
        kind = in_parts(nn.BatchNorm1d if flat else nn.BatchNorm2d, norm_settings.get("ghost_size", shape[0]))
        twin = kind(C, eps=EPS, momentum=momentum, affine=affine)
    if twin is None:
        return None
    twin.double().load_state_dict(norm.state_dict(), strict=False)
    return twin


@with_and_without_affine
@over_cases
def test_output_gradients_and_statistics_are_those_of_the_numpy_oracle(name, shape, affine):
    norm, steps = make(name, affine=affine), list(batches(shape))
    judge = Oracle(name, norm).play(steps)
    assert_agree(play(norm, steps), judge)


@with_and_without_affine
@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name, shape in PAIRS if name in WITH_FORMULA])
def test_output_gradients_and_statistics_are_those_of_the_formula_by_autograd(name, shape, affine):
    norm, steps = make(name, affine=affine), list(batches(shape))
    judge = play(Formula(name, norm), steps)
    assert_agree(play(norm, steps), judge)


IN_TORCH = [(name, shape) for name, shape in PAIRS if torchs(name, shape, make(name), affine=True) is not None]


@with_and_without_affine
@pytest.mark.parametrize(("name", "shape"), IN_TORCH)
def test_output_gradients_and_statistics_are_those_of_torch_nn(name, shape, affine):
    norm, steps = make(name, affine=affine), list(batches(shape))
    judge = play(torchs(name, shape, norm, affine=affine), steps)
    assert_agree(play(norm, steps), judge)


OVER_TIME = [(name, shape) for name in CASES for shape in [(6, C), (3, C, 2, 5)] if defined(name, shape)]
over_time = pytest.mark.parametrize(("name", "shape"), OVER_TIME)


@over_time
def test_a_hundred_training_steps_and_inference_after_each_are_those_of_the_numpy_oracle(name, shape):
    norm, steps = make(name), list(batches(shape, steps=100))
    judge = Oracle(name, norm).play(steps)
    # Parameters that were updated a hundred times were rounded a hundred times.
    assert_agree(play(norm, steps), judge, tolerance=1e-11)


@over_time
def test_a_hundred_steps_of_three_trials_packed_are_each_those_of_the_numpy_oracle(name, shape):
    norms = [make(name, trial=trial) for trial in range(3)]
    steps = [list(batches(shape, seed=trial, offset=trial, steps=100)) for trial in range(3)]
    together = [tuple(map(folded, zip(*step, strict=True))) for step in zip(*steps, strict=True)]
    record = play(type(norms[0]).fold(norms), together)
    for k in range(3):
        # Activations are (N, K * C, ...), parameters and statistics (K, C).
        actual = {key: value[k] if value.shape == (3, C) else value[:, k * C :][:, :C] for key, value in record.items()}
        assert_agree(actual, Oracle(name, norms[k]).play(steps[k]), tolerance=1e-11)


@over_cases
def test_in_float32_results_are_those_of_the_oracle_in_double_precision(name, shape):
    norm = make(name, dtype=torch.float32)
    steps = [(x.float(), dout.float()) for x, dout in batches(shape)]
    judge = Oracle(name, norm).play(steps)  # on the same numbers, already rounded to float32
    # A rounding is 6e-8. A sum here has at most 45 terms of size about 3. The gradient of a nearly constant map
    # multiplies rounding errors by 1 / sqrt(eps) = 32 at most: 32 * 3 * 6e-8 * a few.
    assert_agree(play(norm, steps), judge, tolerance=2e-5)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(CASES)),
    N=st.integers(1, 7),
    image=st.one_of(st.just(()), st.tuples(st.integers(1, 5), st.integers(1, 5))),
    offset=st.sampled_from([0.0, -3.0, 1e4]),
    affine=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_random_shapes_and_offsets_agree_with_the_oracle_and_the_formula(name, N, image, offset, affine, seed):
    shape = (N, C, *image)
    assume(defined(name, shape))
    norm, steps = make(name, affine=affine), list(batches(shape, seed=seed, offset=offset))
    judges = [Oracle(name, norm).play(steps)]
    if name in WITH_FORMULA:
        judges.append(play(Formula(name, norm), steps))
    actual = play(norm, steps)
    for judge in judges:
        # A value of 1e4 is rounded by 2e-12. A nearly constant map multiplies that by 1 / sqrt(eps) = 32, and once
        # more in the gradient: 2e-9.
        assert_agree(actual, judge, tolerance=1e-12 if offset < 1e4 else 2e-9)
