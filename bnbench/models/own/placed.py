"""The modules by which a norm stands where a network's own forward has no place for it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bnbench.models.layer_name import LAYER
from bnbench.models.own.trace import ACTIVATIONS

_DEFERRED = "norm_after_activation"


class Reshaped(nn.Module):
    """A norm of (N, C) or (N, C, H, W) for inputs of other shapes.

    Args:
        norm: The norm.
        axis: Which axis of the input holds the channels: 1 or -1.
        per_position: Whether each position counts as an example, as in layer norm of tokens; otherwise all positions of
            an example are given to the norm together.

    Shape:
        (N, C, …) or (N, …, C), and the same out.
    """

    def __init__(self, norm: nn.Module, axis: int, per_position: bool) -> None:
        super().__init__()
        self.norm, self.axis, self.per_position = norm, axis, per_position

    def forward(self, x: Tensor) -> Tensor:
        last = x.movedim(self.axis, -1)  # (N, …, C)
        if self.per_position:
            y = self.norm(last.reshape(-1, last.shape[-1])).reshape(last.shape)
        else:
            image = last.flatten(1, -2).transpose(1, 2).unsqueeze(-1)  # (N, C, P, 1)
            y = self.norm(image.contiguous()).squeeze(-1).transpose(1, 2).reshape(last.shape)
        moved: Tensor = y.movedim(-1, self.axis)
        return moved


class NormActivation(nn.Module):
    """A norm and its activation in place of a norm that applies one itself.

    Args:
        norm: The norm.
        activation: The activation.
        after: Whether the norm comes after the activation.
    """

    def __init__(self, norm: nn.Module, activation: nn.Module, *, after: bool) -> None:
        super().__init__()
        self.norm, self.activation, self.after = norm, activation, after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.activation(x)) if self.after else self.activation(self.norm(x))
        return y


class Deferred(nn.Module):
    """A norm that is not applied to its input, but to what the next activation makes of it; see `apply_deferred`."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        vars(x)[_DEFERRED] = self.norm
        return x


class NormedLayer(nn.Module):
    """A linear or conv layer, and a norm behind it where the network has none.

    The attributes of the layer can be read as if they were its own, for a forward that asks for `out_channels`, say.

    Args:
        layer: The layer.
        norm: The norm, or a `Deferred` one.
    """

    def __init__(self, layer: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.add_module(LAYER, layer)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self._modules[LAYER](x))  # type: ignore[misc]
        return y

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            modules = vars(self).get("_modules", {})
            if LAYER not in modules:  # while it is being made
                raise
            return getattr(modules[LAYER], name)


def apply_deferred(net: nn.Module) -> None:
    """Let every `Deferred` norm of a network be applied to the output of the activation that gets its output.

    Activations may be modules, shared ones too, functions and methods: while the network's forward runs, all of them
    are seen by a `TorchFunctionMode`.
    """
    switch = _Switch()
    net.register_forward_pre_hook(switch.on)
    net.register_forward_hook(switch.off, always_call=True)


class _Switch:
    """Has deferred norms applied while a forward runs."""

    def __init__(self) -> None:
        self._modes: list[_DeferredNorms] = []

    def on(self, net: nn.Module, inputs: object) -> None:
        self._modes.append(_DeferredNorms())
        self._modes[-1].__enter__()  # type: ignore[no-untyped-call]

    def off(self, net: nn.Module, inputs: object, output: object) -> None:
        self._modes.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]


class _DeferredNorms(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        norm = None
        if func in ACTIVATIONS and args and isinstance(args[0], Tensor):
            norm = vars(args[0]).pop(_DEFERRED, None)
        y = func(*args, **(kwargs or {}))
        return y if norm is None else norm(y)
