"""What a pack's networks compute at the present step of training, for measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnbench.config import Statistics
from bnbench.config.evaluation_grid import evaluation_examples
from bnbench.models.block import Block
from bnbench.optimizers.per_trial import PackOptimizer
from bnbench.packing.leaves import FoldedConv2d, FoldedLinear
from bnbench.tensors.memory_layout import trial_rows
from bnbench.training.curvature import loss_spectrum
from bnbench.training.evaluate import Evaluation, evaluate
from bnbench.training.losses import example_losses
from bnbench.training.measures.activations import Units, describe
from bnbench.training.measures.hessian import Spectrum
from bnbench.training.module import PackModule
from bnbench.training.population import estimate_population
from bnbench.training.step import train_step
from bnbench.training.unchanged import State, unchanged

_IMAGES = 128


class Hidden(NamedTuple):
    """The values of hidden layers on the same images, by layer.

    Attributes:
        inputs: Inputs of the activation functions, (K, C, n); of a map, the middle position.
        lowest: Each unit's smallest output over images and positions, (K, C).
        highest: Its largest.
        features: The input of the head, (K, C, n).
    """

    inputs: list[Tensor]
    lowest: list[Tensor]
    highest: list[Tensor]
    features: Tensor


class Probe:
    """Computes with the networks in the state before the next training step, in training mode; made by `probe`.

    Args:
        module: The pack in training.
        optimizer: The optimizer of the module.
        state: The state that every computation starts from.
        step: The number of steps taken.
        before: The `units` of the previous probe, or None at the first.

    Attributes:
        layers: The layers with weights, the head last.
    """

    def __init__(
        self,
        module: PackModule,
        optimizer: PackOptimizer,
        state: State,
        step: int,
        before: list[Units] | None,
    ) -> None:
        self.module, self.pack, self.images = module, module.pack, module.images
        self.step = step
        self.before = before
        self.layers = [m for m in self.pack.net.modules() if isinstance(m, FoldedLinear | FoldedConv2d)]
        self._optimizer, self._state, self._loss = optimizer, state, module.trials.shared.training.loss
        self._blocks = [m for m in self.pack.net.modules() if isinstance(m, Block)]

    @property
    def hidden_layers(self) -> list[FoldedLinear | FoldedConv2d]:
        """All layers but the head; the head itself where there is no other."""
        return self.layers[:-1] or self.layers

    @property
    def lrs(self) -> list[float]:
        """The next step's learning rates."""
        return self.module.lrs(self.step)

    @cached_property
    def next_batch(self) -> tuple[Tensor, Tensor]:
        """The batch of the next step: images, and labels (K, N)."""
        (rows,) = self.images.train_rows(self.step, self.step + 1)
        return self.images.batch(self.pack, rows)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """In the order of the network, each (K, …)."""
        return [*self.pack.parameters()]

    @property
    def values(self) -> list[Tensor]:
        """The present values of the parameters."""
        return self._state.parameters

    def loss_and_gradients(
        self, of: Sequence[nn.Parameter], at: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The loss on the next batch, (K,), and its gradients (K, …).

        Args:
            of: The parameters of the gradients.
            at: Values of all parameters; None for their present values.
        """
        self._state.restore()
        if at is not None:
            for parameter, value in zip(self.parameters, at, strict=True):
                parameter.data.copy_(value)
        for layer in self.pack.linear:
            layer.descent = None
        x, labels = self.next_batch
        with torch.enable_grad():
            loss = example_losses(self.pack(x), labels, self._loss).mean(1)
            gradients = torch.autograd.grad(loss.sum(), of)
        return loss.detach(), [*gradients]

    @cached_property
    def gradients(self) -> dict[nn.Parameter, Tensor]:
        """Every parameter's gradient on the next batch."""
        return dict(zip(self.parameters, self.loss_and_gradients(self.parameters)[1], strict=True))

    @cached_property
    def next_values(self) -> list[Tensor]:
        """The parameters' values after the next step."""
        self._state.restore()
        self._optimizer.set_lrs(self.lrs)
        with torch.enable_grad():
            train_step(self.pack, *self.next_batch, self._loss, self._optimizer)
        return [parameter.detach().clone() for parameter in self.parameters]

    @cached_property
    def batches(self) -> Sequence[Tensor]:
        """Rows of 128 training images, the same ones at every step of training, in batches (K, N).

        With norms over the batch they are the batches of the first training steps, as many as fit into 128 images but
        at least one. Otherwise all images are one batch.
        """
        N = self.module.trials.shared.training.batch_size
        rows = self.images.first_train_rows(max(N, _IMAGES // N * N))
        return torch.split(rows, N, 1) if self.pack.norms else (rows,)

    @cached_property
    def hidden(self) -> Hidden:
        """The hidden layers on `batches`."""
        self._state.restore()
        with torch.no_grad():
            passes = [self._hidden(self.images.batch(self.pack, part)[0]) for part in self.batches]
        return Hidden(
            inputs=[torch.cat(layer, 2) for layer in zip(*(each.inputs for each in passes), strict=True)],
            lowest=[torch.stack(layer).amin(0) for layer in zip(*(each.lowest for each in passes), strict=True)],
            highest=[torch.stack(layer).amax(0) for layer in zip(*(each.highest for each in passes), strict=True)],
            features=torch.cat([each.features for each in passes], 2),
        )

    @cached_property
    def units(self) -> list[Units]:
        """The distributions of the unit inputs, by hidden layer."""
        return [describe(values) for values in self.hidden.inputs]

    def accuracy(self, statistics: Statistics) -> Tensor:
        """Accuracy on the validation images that evaluations use, (K,)."""
        count = evaluation_examples(self.module.trials.shared, len(self.images.splits[0].val))
        return self._evaluate(self.images.rows("val", count), statistics).acc

    def on_last_batch(self) -> Evaluation:
        """Loss and accuracy on the batch just trained on (before any step: the first one), as evaluations see it."""
        last = max(self.step - 1, 0)
        (rows,) = self.images.train_rows(last, last + 1)
        return self._evaluate(rows, self.module.trials.shared.norm.inference)

    def _evaluate(self, rows: Tensor, statistics: Statistics) -> Evaluation:
        self._state.restore()
        if statistics == Statistics.precise:
            estimate_population(self.pack, self.images)
        return evaluate(self.pack, self.images, rows, self._loss, statistics=statistics)

    def spectrum(self) -> Spectrum:
        """Eigenvalues of the Hessian of the mean loss on `batches`."""
        self._state.restore()
        return loss_spectrum(self.pack, self.images, self.module.trials, self.batches)

    def _hidden(self, x: Tensor) -> Hidden:
        hidden = Hidden([], [], [], torch.empty(0))
        features: list[Tensor] = []
        K = self.pack.slots

        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            hidden.inputs.append(trial_rows(_middle(inputs[0]), K))
            over = (0, *range(2, output.dim()))
            hidden.lowest.append(output.amin(over).view(K, -1))
            hidden.highest.append(output.amax(over).view(K, -1))

        def record_features(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            features.append(trial_rows(inputs[0], K))

        hooks = [block.activation.register_forward_hook(record) for block in self._blocks]
        hooks.append(self.layers[-1].register_forward_pre_hook(record_features))
        self.pack(x)
        for hook in hooks:
            hook.remove()
        return hidden._replace(features=features[0])


def _middle(x: Tensor) -> Tensor:
    """The middle position of a map, or a 2-D activation unchanged, (N, K*C)."""
    return x if x.dim() == 2 else x[:, :, x.shape[2] // 2, x.shape[3] // 2]


@contextmanager
def probe(module: PackModule, optimizer: PackOptimizer, step: int, before: list[Units] | None) -> Iterator[Probe]:
    """A probe of the module after so many steps; at the end the module and the optimizer are restored."""
    module.pack.settle()
    with unchanged(module.pack, optimizer) as state:
        yield Probe(module, optimizer, state, step, before)
