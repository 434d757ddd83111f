"""Layers that are `torch.nn.Module`s."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from bnbench.check.subject.layer import Gradients, NotApplicableError, Spec, make, roles, settings

_MEMORY = {4: torch.channels_last, 5: torch.channels_last_3d}


class TorchFramework:
    """Makes torch modules."""

    def __init__(self, factory: Callable[..., Any]) -> None:
        self._factory = factory
        self._threads = torch.get_num_threads()

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def make(self, spec: Spec) -> TorchLayer:
        return TorchLayer(self._factory, spec)

    def use_threads(self, threads: int | None) -> bool:
        torch.set_num_threads(threads or self._threads)
        return True


class TorchLayer:
    """A module; `layout="last"` is torch's own channels-last memory, behind the same (N, C, …)."""

    def __init__(self, factory: Callable[..., Any], spec: Spec) -> None:
        affine = {} if spec.affine is None else {"affine": spec.affine}
        self._factory, self._spec = factory, spec
        self.module = make(factory, spec.features, {**spec.arguments, **affine})
        self.settings = settings(factory, self.module, spec.arguments)
        self.module = self.module.to(getattr(torch, spec.dtype))
        if spec.layout == "last" and spec.axes not in _MEMORY:
            raise NotApplicableError(f"torch keeps no input of {spec.axes} axes with channels last")

    def _tensor(self, x: np.ndarray, dtype: str) -> torch.Tensor:
        tensor = torch.from_numpy(np.array(x)).to(getattr(torch, dtype))
        if self._spec.layout == "last":
            tensor = tensor.contiguous(memory_format=_MEMORY[self._spec.axes])
        return tensor

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        tensor = self._tensor(x, dtype)
        before = tensor.clone()
        with torch.no_grad():
            y = self.module.train(training)(tensor)
        if not torch.equal(tensor.nan_to_num(), before.nan_to_num()):
            raise RuntimeError("it wrote into its input")
        return _numpy(y), str(y.dtype).removeprefix("torch.")

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        leaf = self._tensor(x, dtype).requires_grad_()
        named = roles(dict(self.module.named_parameters()))
        parameters = {role: self.module.get_parameter(named[role]) for role in ("scale", "shift") if role in named}
        self.module.zero_grad()
        y = self.module.train(training)(leaf)
        y.backward(self._tensor(dout, str(y.dtype).removeprefix("torch.")))
        grads = {role: p.grad for role, p in parameters.items()}
        found = {role: None if grad is None else _numpy(grad).reshape(-1) for role, grad in grads.items()}
        dx = np.zeros_like(x) if leaf.grad is None else _numpy(leaf.grad)
        return Gradients(_numpy(y), dx, found.get("scale"), found.get("shift"))

    def state(self) -> dict[str, Any]:
        # Tensors in plain attributes too: they work like buffers, but for being moved and saved.
        plain = {name: value for name, value in vars(self.module).items() if isinstance(value, torch.Tensor)}
        kept = [*self.module.named_parameters(), *self.module.named_buffers(), *plain.items()]
        return {name: _numpy(value) for name, value in kept}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        for name, value in values.items():
            parameter = self.module.get_parameter(name)
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.array(value)).reshape(parameter.shape))

    def saved_and_loaded(self) -> TorchLayer:
        file = io.BytesIO()
        torch.save(self.module.state_dict(), file)
        file.seek(0)
        other = TorchLayer(self._factory, self._spec)
        other.module.load_state_dict(torch.load(file, weights_only=True))
        return other

    def freeze(self) -> None:
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float64, copy=True).numpy()  # a copy: the layer may write into its tensors later
