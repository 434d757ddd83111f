"""Which engine trains a trial: bnbench's own kernels, one lane of a vector a trial, or torch."""

from __future__ import annotations

from bnbench.config.choices import Device, Impl, Precision
from bnbench.config.model_catalog import ModelConfig
from bnbench.config.norm_catalog import NormConfig
from bnbench.config.optimizer_catalog import OptimizerConfig
from bnbench.config.schema import TrainingConfig

_MODELS = ("fc", "cnn")
_OVER_BATCH = ("batch", "ghost_batch", "noisy_batch", "frozen_batch", "batch_renorm")
_NORMS = ("none", *_OVER_BATCH, "online", "layer", "group", "instance", "rms", "filter_response")
"""`norm.impl=manual` is batch norm by torch's elementary operations and autograd, which the kernels would not be."""
_OPTIMIZERS = ("sgd", "momentum", "adam", "adamw")
_MOST_DEPTH = 100
_MOST_FEATURES = 1024
"""Features or channels of a layer at most: torch's products are made for wider ones, of which 16 take much memory."""


def why_torch(model: ModelConfig, norm: NormConfig, optimizer: OptimizerConfig, training: TrainingConfig) -> str | None:
    """What of this configuration the kernels cannot train, mostly as `key=value`; None if they can train it.

    It depends on the configuration alone, so that a trial has the same engine in every sweep.

    Args:
        model: The section `model`, and so on for the others.
        norm: The section `norm`.
        optimizer: The section `optimizer`.
        training: The section `training`, in which the device that this machine has replaces `auto`.
    """
    if training.device == Device.cuda:
        return f"training.device={training.device}"
    if training.precision != Precision.float32:
        return f"training.precision={training.precision}"
    if model.name not in _MODELS:
        return f"model={model.name}"
    if model.depth > _MOST_DEPTH:
        return f"model.depth={model.depth}"
    if len(model.widths or []) > _MOST_DEPTH:
        return f"{len(model.widths or [])} model.widths"
    features = [model.width * model.depth, model.hidden] if model.name == "cnn" else model.hidden_widths
    if max(features, default=0) > _MOST_FEATURES:
        return f"{max(features)} features in a layer"
    if norm.name not in _NORMS:
        return f"norm={norm.name}"
    if norm.name == "batch" and norm.impl != Impl.native:
        return f"norm.impl={norm.impl}"
    if optimizer.name not in _OPTIMIZERS:
        return f"optimizer={optimizer.name}"
    return None
