"""Up to 16 networks, one in each lane, that the compiled kernels train and evaluate."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from bnbench.config import Loss
from bnbench.lanes.compiling import LANES
from bnbench.lanes.layers import LaneLayer, NormPlace


class Rule(IntEnum):
    """The numbers of the optimizers in `optimizer.h`."""

    sgd = 0
    momentum = 1
    nesterov = 2
    adam = 3
    adamw = 4

    @property
    def moments(self) -> int:
        """How many numbers it keeps for each parameter."""
        return 0 if self == Rule.sgd else 1 if self in (Rule.momentum, Rule.nesterov) else 2


class Normalizer(IntEnum):
    """What an evaluation's norms over the batch normalize by, as numbered in `norm.h`."""

    batch = 0
    running = 1
    given = 2


class Array(IntEnum):
    """The arrays of a layer, as `Network::copy` numbers them."""

    weight = 0
    bias = 1
    gamma = 2
    beta = 3
    learned_eps = 4
    threshold = 5
    running_mean = 6
    running_var = 7
    given_mean = 8
    given_var = 9
    error_along_y = 10
    error_along_one = 11


@dataclass(frozen=True)
class Settings:
    """The numbers of one trial; what its optimizer or its norm does not use has no effect."""

    momentum: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    norm_momentum: float = 0.1
    dropout: float = 0.0


@dataclass(frozen=True)
class LabelledImages:
    """Images in memory, and how each trial scales them.

    Attributes:
        images: (M, C, H, W), uint8.
        labels: (M,), int64.
        scale: By which pixels are multiplied, (trials, C), float32.
        shift: Added to them, (trials, C), float32.
    """

    images: Tensor
    labels: Tensor
    scale: Tensor
    shift: Tensor

    def of(self, trials: slice) -> LabelledImages:
        """The same images, as some of the trials scale them."""
        return replace(self, scale=self.scale[trials], shift=self.shift[trials])


class _LayerSpec(ctypes.Structure):
    """`LayerSpec` of network.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("conv", "height", "width", "inputs", "stride", "left", "top")),
        *((name, ctypes.c_int32) for name in ("height_out", "width_out", "outputs")),
        *((name, ctypes.c_int32) for name in ("bias", "activation", "norm", "examples", "group")),
        *((name, ctypes.c_int32) for name in ("centered", "thresholds", "running", "frozen")),
        *((name, ctypes.c_int32) for name in ("standardized", "affine", "unbiased", "warmup_steps")),
        *((name, ctypes.c_int32) for name in ("noisy", "drops", "online")),
        *((name, ctypes.c_double) for name in ("eps", "r_max", "d_max", "noise_shift", "noise_scale")),
        *((name, ctypes.c_double) for name in ("decay_forward", "decay_backward", "clamp")),
    )


class _NetworkSpec(ctypes.Structure):
    """`NetworkSpec` of network.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("layers", "batch_size", "trials", "channels")),
        *((name, ctypes.c_int32) for name in ("loss", "optimizer", "cumulative")),
        ("layer", ctypes.POINTER(_LayerSpec)),
        *((name, ctypes.c_void_p) for name in Settings.__dataclass_fields__),
        ("seeds", ctypes.c_void_p),
    )


class _Block(ctypes.Structure):
    """`Block` of network.h."""

    _fields_ = tuple(
        (name, ctypes.c_void_p) for name in ("images", "labels", "scale", "shift", "rows", "lrs", "losses", "right")
    )


class _Part(ctypes.Structure):
    """`Part` of network.h."""

    _fields_ = tuple(
        (name, ctypes.c_void_p) for name in ("images", "labels", "scale", "shift", "rows", "losses", "right")
    )


class LaneNetwork:
    """Networks of up to 16 trials that share their layers, batch size, loss and optimizer.

    Parameters and running means start at zero, gammas at one: `write` gives them their values.

    Args:
        library: From `load_library`.
        layers: From the images to the logits.
        settings: One of each trial.
        seeds: Of what the layers draw, from `draw_seeds`.
        image_shape: Shape (C, H, W) of one image.
        batch_size: N, the examples of a step.
        loss: Which loss.
        rule: Which optimizer.
        cumulative: Whether running statistics weigh all batches equally, whatever the momentum.

    Raises:
        MemoryError: If there is not enough memory.
        ValueError: If there are more layers or trials than the kernels take, or no trial.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        layers: Sequence[LaneLayer],
        settings: Sequence[Settings],
        seeds: Tensor,
        *,
        image_shape: tuple[int, int, int],
        batch_size: int,
        loss: Loss,
        rule: Rule,
        cumulative: bool = False,
    ) -> None:
        self._library = _declared(library)
        if len(layers) > library.lanes_most_layers():
            raise ValueError(f"{len(layers)} layers; the kernels take at most {library.lanes_most_layers()}")
        if not 1 <= len(settings) <= LANES:
            raise ValueError(f"{len(settings)} trials; a network of lanes has 1 to {LANES}")
        self.layers = [*layers]
        self.trials = len(settings)
        self.rule = rule
        self._image_shape = image_shape
        self._batch_size = batch_size
        numbers = {
            name: np.array([getattr(trial, name) for trial in settings], np.float64)
            for name in Settings.__dataclass_fields__
        }
        seeds = seeds.contiguous()
        _check(seeds, torch.int64, (len(layers), 2, self.trials))
        specs = (_LayerSpec * len(layers))(*map(_layer_spec, layers))
        spec = _NetworkSpec(
            layers=len(layers),
            batch_size=batch_size,
            trials=self.trials,
            channels=image_shape[0],
            loss=[*Loss].index(loss),
            optimizer=rule,
            cumulative=cumulative,
            layer=specs,
            seeds=seeds.data_ptr(),
            **{name: array.ctypes.data for name, array in numbers.items()},
        )
        address = library.lanes_new(ctypes.byref(spec))
        if not address:
            raise MemoryError("not enough memory for a network of lanes")
        self._pack = ctypes.c_void_p(address)
        weakref.finalize(self, library.lanes_free, self._pack)

    def train(self, source: LabelledImages, rows: Tensor, lrs: Tensor) -> tuple[Tensor, Tensor]:
        """Take S steps of every trial.

        Args:
            source: Where the rows point.
            rows: Rows of the data set, (S, trials, N), int64.
            lrs: Learning rates, (S, trials), float64.

        Returns:
            Mean losses before each step, and right answers among its N, both (S, trials), float64.
        """
        rows, lrs = rows.contiguous(), lrs.contiguous()
        steps = len(rows)
        _check(rows, torch.int64, (steps, self.trials, self._batch_size))
        _check(lrs, torch.float64, (steps, self.trials))
        self._check_source(source, rows)
        losses, right = torch.empty(2, steps, self.trials, dtype=torch.float64).unbind()
        scale, shift = source.scale.contiguous(), source.shift.contiguous()
        arrays = (source.images, source.labels, scale, shift, rows, lrs, losses, right)
        self._library.lanes_train(self._pack, ctypes.byref(_Block(*(array.data_ptr() for array in arrays))), steps)
        return losses, right

    def evaluate(self, source: LabelledImages, rows: Tensor, normalizer: Normalizer) -> tuple[Tensor, Tensor]:
        """The loss and the right answers on n images of each trial, as sums over them.

        Args:
            source: Where the rows point.
            rows: (trials, n), int64.
            normalizer: What batch norms normalize by; the batch is all n images.

        Returns:
            Both (trials,), float64.

        Raises:
            MemoryError: If there is not enough memory.
        """
        rows = rows.contiguous()
        _check(rows, torch.int64, (self.trials, rows.shape[1]))
        self._check_source(source, rows)
        losses, right = torch.empty(2, self.trials, dtype=torch.float64).unbind()
        scale, shift = source.scale.contiguous(), source.shift.contiguous()
        arrays = (source.images, source.labels, scale, shift, rows, losses, right)
        part = _Part(*(array.data_ptr() for array in arrays))
        if not self._library.lanes_evaluate(self._pack, ctypes.byref(part), rows.shape[1], normalizer):
            raise MemoryError("not enough memory to evaluate a network of lanes")
        return losses, right

    def last_statistics(self, layer: int) -> tuple[Tensor, Tensor]:
        """The means and variances by which a layer's norm normalized last, each (trials, channels), float64."""
        channels = self.layers[layer].output.channels
        mean, var = torch.empty(2, self.trials, channels, dtype=torch.float64).unbind()
        self._library.lanes_last_statistics(self._pack, layer, mean.data_ptr(), var.data_ptr())
        return mean, var

    def read(self, layer: int, array: Array, values: Tensor, moment: int = 0) -> None:
        """Copy an array of all trials into `values`, (trials, …), in the order of torch.

        Args:
            layer: Which layer.
            array: Which of its arrays.
            values: Written.
            moment: 0 for the values, 1 or 2 for what the optimizer keeps of a parameter.
        """
        view = self.layers[layer].stored_weights(values) if array == Array.weight else values
        copied = torch.empty(view.shape)
        self._library.lanes_copy(self._pack, layer, array, moment, copied.data_ptr(), 0)
        view.copy_(copied)

    def write(self, layer: int, array: Array, values: Tensor, moment: int = 0) -> None:
        """Copy `values` into an array of all trials; see `read`."""
        view = self.layers[layer].stored_weights(values) if array == Array.weight else values
        given = view.detach().to(torch.float32).contiguous()
        self._library.lanes_copy(self._pack, layer, array, moment, given.data_ptr(), 1)

    def arrays(self, layer: int) -> list[Array]:
        """The parameters and running statistics that a layer has."""
        spec = self.layers[layer]
        arrays = [Array.weight, *([Array.bias] if spec.bias else [])]
        if spec.norm == NormPlace.none:
            return arrays
        affine = [Array.gamma, Array.beta] if spec.affine else []
        own = [Array.learned_eps, Array.threshold] if spec.thresholds else []
        running = [Array.running_mean, Array.running_var] if spec.running else []
        errors = [Array.error_along_y, Array.error_along_one] if spec.online else []
        return [*arrays, *affine, *own, *running, *errors]

    def set_taken(self, steps: int) -> None:
        """Say how many steps the optimizer has taken, which its bias correction depends on."""
        self._library.lanes_set_taken(self._pack, steps)

    def _check_source(self, source: LabelledImages, rows: Tensor) -> None:
        _check(source.images, torch.uint8, (len(source.images), *self._image_shape))
        _check(source.labels, torch.int64, (len(source.images),))
        for values in (source.scale, source.shift):
            if values.dtype != torch.float32 or values.shape != (self.trials, self._image_shape[0]):
                raise ValueError(f"scales and shifts are float32, {(self.trials, self._image_shape[0])}")
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < len(source.images):
            raise ValueError(f"rows {int(rows.min())} to {int(rows.max())} are not all among {len(source.images)}")


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library, told the types of its functions' arguments and results."""
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    types: dict[str, tuple[object, list[object]]] = {
        "new": (pointer, [pointer]),
        "free": (None, [pointer]),
        "train": (None, [pointer, pointer, number]),
        "evaluate": (number, [pointer, pointer, number, number]),
        "copy": (None, [pointer, number, number, number, pointer, number]),
        "last_statistics": (None, [pointer, number, pointer, pointer]),
        "set_taken": (None, [pointer, ctypes.c_int64]),
        "most_layers": (number, []),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, f"lanes_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def _layer_spec(layer: LaneLayer) -> _LayerSpec:
    source, output = layer.source, layer.output
    inputs = source.channels if layer.conv else source.channels * source.height * source.width
    return _LayerSpec(
        conv=layer.conv,
        height=source.height if layer.conv else 1,
        width=source.width if layer.conv else 1,
        inputs=inputs,
        stride=layer.stride,
        left=layer.left,
        top=layer.top,
        height_out=output.height,
        width_out=output.width,
        outputs=output.channels,
        bias=layer.bias,
        activation=layer.activation,
        norm=layer.norm,
        examples=layer.examples,
        group=layer.group,
        centered=layer.centered,
        thresholds=layer.thresholds,
        running=layer.running,
        frozen=layer.frozen,
        standardized=layer.standardized,
        affine=layer.affine,
        unbiased=layer.unbiased,
        warmup_steps=layer.warmup_steps,
        noisy=layer.noisy,
        drops=bool(layer.dropout_path),
        online=layer.online,
        eps=layer.eps,
        r_max=layer.r_max,
        d_max=layer.d_max,
        noise_shift=layer.noise_shift,
        noise_scale=layer.noise_scale,
        decay_forward=layer.decay_forward,
        decay_backward=layer.decay_backward,
        clamp=layer.clamp,
    )


def _check(tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if tensor.dtype != dtype or tuple(tensor.shape) != shape or not tensor.is_contiguous():
        raise ValueError(f"needs contiguous {dtype} of shape {shape}, given {tensor.dtype} of {tuple(tensor.shape)}")
