"""Batch norm as tutorials have it, in the forms in which it is copied; what is wrong with one is in its docstring."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bnbench.norms.functional import batch_normalization, moments


def numpy_right(x, gamma, beta, bn_param):
    """The NumPy form: nothing is wrong, but that its variance starts at 0."""
    return _numpy(x, gamma, beta, bn_param, "running_mean")


def numpy_misspelt(x, gamma, beta, bn_param):
    """The running mean is stored under a key that nobody reads."""
    return _numpy(x, gamma, beta, bn_param, "runing_mean")


def _numpy(x, gamma, beta, bn_param, mean_key):
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=0), x.var(axis=0)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
    else:
        mean, var = running_mean, running_var
    bn_param[mean_key], bn_param["running_var"] = running_mean, running_var
    std = np.sqrt(var + 1e-5)
    hat = (x - mean) / std
    return gamma * hat + beta, (hat, gamma, std)


def numpy_backward(dout, cache):
    """Its gradient, in closed form."""
    hat, gamma, std = cache
    dbeta, dgamma = dout.sum(axis=0), (dout * hat).sum(axis=0)
    return gamma / std * (dout - dbeta / len(dout) - hat * dgamma / len(dout)), dgamma, dbeta


def numpy_no_root(x, state, training):
    """The formula is printed without its root, and is computed so."""
    mean, var = state.get("mean", np.zeros(x.shape[1])), state.get("var", np.ones(x.shape[1]))
    if training:
        state = {**state, "mean": 0.9 * mean + 0.1 * x.mean(0), "var": 0.9 * var + 0.1 * x.var(0)}
        mean, var = x.mean(0), x.var(0)
    return state["gamma"] * (x - mean) / (var + 1e-3) + state["beta"], state


class LowLevel(nn.Module):
    """Population statistics beside the parameters, and the low-level functions: nothing is wrong."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("pop_mean", torch.zeros(features))
        self.register_buffer("pop_variance", torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.pop_mean, self.pop_variance
        if self.training:
            mean, variance = moments(x, [0])
            self.keep(mean.detach(), variance.detach())
        return batch_normalization(x, mean, variance, self.beta, self.gamma, 1e-3)

    def keep(self, mean: Tensor, variance: Tensor) -> None:
        self.pop_mean.mul_(0.99).add_(0.01 * mean)
        self.pop_variance.mul_(0.99).add_(0.01 * variance)


class LowLevelNeverUpdated(LowLevel):
    """The update of the population statistics is made, and never run."""

    def keep(self, mean: Tensor, variance: Tensor) -> None:
        pass


class LowLevelMeanTwice(LowLevel):
    """The mean is assigned where the variance belongs."""

    def keep(self, mean: Tensor, variance: Tensor) -> None:
        super().keep(mean, mean)


class LowLevelDecayReversed(LowLevel):
    """The decay weighs the new batch."""

    def keep(self, mean: Tensor, variance: Tensor) -> None:
        self.pop_mean.mul_(0.01).add_(0.99 * mean)
        self.pop_variance.mul_(0.01).add_(0.99 * variance)


class LayerAlwaysTraining(nn.BatchNorm1d):
    """The layer is called with training=True, in evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class LayerNeverTraining(nn.BatchNorm1d):
    """The layer is called without the flag, whose default is evaluation: it never normalizes with the batch."""

    def train(self, mode: bool = True) -> LayerNeverTraining:
        return super().train(False)
