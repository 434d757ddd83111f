"""Traces one forward pass of any network: its layers, norms, activations and all functions between them.

The network runs as it is, on real images, so that loops, branches and arithmetic on shapes need no care. Hooks see its
modules, and a `TorchFunctionMode` sees what it calls of torch; tensors are followed by what they are, not by names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bnbench.models.norm_modules import NORM_FUNCTIONS, is_norm

LAYERS = (nn.Linear, nn.modules.conv._ConvNd)

_ACTIVATION_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Softplus, nn.Softsign, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh),
)
_ACTIVATION_NAMES = (
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
    *("softsign", "sigmoid", "logsigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh"),
)
ACTIVATIONS: dict[Callable[..., Any], str] = {
    getattr(owner, name + suffix): name
    for owner in (F, torch, Tensor)
    for name in _ACTIVATION_NAMES
    for suffix in ("", "_")
    if hasattr(owner, name + suffix)
}
"""The activations that may be called as functions or methods, and their names."""

_FOLDERS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))

Kind = Literal["norm", "layer", "activation", "function"]


@dataclass(eq=False)
class Call:
    """One call in a forward pass.

    Attributes:
        kind: Of what was called.
        name: The class of the module, or the name of the function.
        path: The module's name in the network; empty for a function, and for a module that is no attribute.
        module: The module, or None.
        line: Where it is called, such as "net.py:12 in Net.forward".
        inputs: The tensors that go in, and `output`, the first one that comes out.
        in_place: Whether it is a function or method that writes into its input.
        sources: The calls that made its inputs.
        users: The calls that its output goes into.
        last: Whether a norm standardizes its input along the last axis, as its output shows, rather than the second.
        inner: The activations that a norm calls itself, or the norms that are applied where an activation is.
    """

    kind: Kind
    name: str
    path: str
    module: nn.Module | None
    line: str
    inputs: list[Tensor]
    output: Tensor | None = None
    in_place: bool = False
    last: bool = False
    sources: list[Call] = field(default_factory=list)
    users: list[Call] = field(default_factory=list)
    inner: list[Call] = field(default_factory=list)


@dataclass(eq=False)
class Trace:
    """The calls of one forward pass, in their order.

    Attributes:
        calls: All of them, but for those inside a layer, a norm or an activation.
        output: The call that made the network's output, if one did.
        hidden: Calls of norms that cannot be replaced: functions, and modules that are no attribute.
        formulas: Modules without children whose forward calls a norm as a function: hand-written norms.
    """

    calls: list[Call] = field(default_factory=list)
    output: Call | None = None
    hidden: list[Call] = field(default_factory=list)
    formulas: dict[nn.Module, str] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[Call]:
        """The calls of one kind."""
        return [call for call in self.calls if call.kind == kind]


def trace(net: nn.Module, images: Tensor, norms: Sequence[nn.Module] = ()) -> Trace:
    """Trace a network's forward pass of some images, in the mode that it is in.

    Args:
        net: The network.
        images: Of shape (N, C, H, W).
        norms: Modules that are norms though neither their class nor their name says so.

    Raises:
        Exception: Whatever its forward raises.
    """
    found = _run(net, images, norms)
    return found if not found.formulas else replace(_run(net, images, found.formulas), formulas=found.formulas)


def _run(net: nn.Module, images: Tensor, norms: Iterable[nn.Module]) -> Trace:
    recorder = _Recorder(net, norms)
    before = nn.modules.module.register_module_forward_pre_hook(recorder.enter)
    after = nn.modules.module.register_module_forward_hook(recorder.leave)
    try:
        with torch.no_grad(), recorder:
            output = net(images)
    finally:
        before.remove()
        after.remove()
    recorder.trace.output = next((recorder.maker(one) for one in _tensors([output])), None)
    return recorder.trace


class _Recorder(TorchFunctionMode):
    """Takes down every call of a forward pass."""

    def __init__(self, net: nn.Module, norms: Iterable[nn.Module]) -> None:
        super().__init__()
        self.trace = Trace()
        self._paths: dict[nn.Module, str] = {module: path for path, module in net.named_modules()}
        self._norms = {*norms}
        self._stack: list[nn.Module] = []
        self._open: list[Call] = []  # the layer, norm or activation that is running, and what runs in it
        self._makers: dict[int, Call] = {}
        self._alive: list[Tensor] = []  # so that no two tensors have one id

    def maker(self, tensor: Tensor) -> Call | None:
        """The call that made a tensor, or wrote into it last."""
        return self._makers.get(id(tensor))

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._stack.append(module)
        kind = self._kind(module)
        if kind is None:
            return
        call = Call(kind, type(module).__name__, self._paths.get(module, ""), module, _line(), [*_tensors(inputs)])
        if kind == "norm" and module not in self._paths and not self._open:
            self.trace.hidden.append(call)
        self._open.append(call)

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._stack.pop()
        if self._open and self._open[-1].module is module:
            self._close(self._open.pop(), output)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        kind: Kind = "activation" if func in ACTIVATIONS else "function"
        name = ACTIVATIONS.get(func, getattr(func, "__name__", str(func)))
        in_place = getattr(func, "__name__", "").endswith("_") or kwargs.get("inplace") is True
        call = Call(kind, name, "", None, "", [*_tensors([*args, *kwargs.values()])], in_place=in_place)
        if func in NORM_FUNCTIONS and not any(one.kind == "norm" for one in self._open):
            call.line = _line()
            module = self._stack[-1] if self._stack else None
            if module is not None and not module._modules and module in self._paths and self._paths[module]:
                self.trace.formulas[module] = NORM_FUNCTIONS[func]
            else:
                self.trace.hidden.append(call)
        self._open.append(call)
        result = func(*args, **kwargs)
        self._open.pop()
        if kind == "activation":
            call.line = _line()
        self._close(call, result)
        return result

    def _kind(self, module: nn.Module) -> Kind | None:
        if module in self._norms or is_norm(module):
            return "norm"
        if isinstance(module, LAYERS):
            return "layer"
        return "activation" if isinstance(module, _ACTIVATION_MODULES) else None

    def _close(self, call: Call, result: Any) -> None:
        outputs = [*_tensors([result])]
        self._alive += [*call.inputs, *outputs]
        if self._open:
            around = self._open[-1]
            if {around.kind, call.kind} == {"norm", "activation"}:
                around.inner.append(call)
            return
        if not outputs:  # a shape, a number
            return
        call.output = outputs[0]
        if call.kind == "norm" and call.output.dim() == 4:
            call.last = _spread(call.output, -1) < _spread(call.output, 1)
        for tensor in call.inputs:
            source = self.maker(tensor)
            if source is not None and source not in call.sources:
                call.sources.append(source)
                source.users.append(call)
        for tensor in outputs:
            self._makers[id(tensor)] = call
        self.trace.calls.append(call)


def _spread(y: Tensor, axis: int) -> float:
    """How much the mean squares along an axis differ: little where that is the axis of a norm."""
    squares = y.double().square().mean(axis)
    return float(squares.std() / squares.mean())


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _line() -> str:
    """The line of a forward that is running: "net.py:12 in Net.forward"; empty where torch's own code calls."""
    frame = sys._getframe(1)
    while frame.f_code is not _run.__code__ and frame.f_code.co_filename.startswith(_FOLDERS) and frame.f_back:
        frame = frame.f_back
    if frame.f_code is _run.__code__:  # nn.Sequential, say, all the way up
        return ""
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def only_user(call: Call, trace: Trace) -> Call | None:
    """The call that a call's output goes into, if it is the only one and the output is not the network's."""
    return call.users[0] if len(call.users) == 1 and call is not trace.output else None


def only_source(call: Call) -> Call | None:
    """The call that made what goes into a call, if one alone did."""
    return call.sources[0] if len(call.sources) == 1 else None
