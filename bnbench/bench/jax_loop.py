"""The JAX side: as many trials as the lanes have, trained as users of JAX train many networks at once.

One step is written for one trial and made that of all by `vmap`; `lax.scan` takes a block of steps in one call of a
compiled function. Images are in memory as float32. JAX is imported when the side is made: it is an extra.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from bnbench.bench.plain import parameter_count
from bnbench.bench.rounds import Clock
from bnbench.bench.workloads import load_images, trials_of
from bnbench.config import Trial
from bnbench.data import ImageData, pixels, scaling, split_data
from bnbench.lanes.compiling import LANES
from bnbench.lanes.layers import Activation, LaneLayer, NormPlace, lane_layers
from bnbench.models import build_model
from bnbench.packing.packed_trials import PackedTrials
from bnbench.training.image_batches import PackImages

_LONG_BLOCK, _SHORT_BLOCK = 64, 16
_LARGE_BATCH = 64
"""Above this batch size, the compiled function takes a short block of steps in one call, else a long one."""

_PROBE_IMAGES = 512
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
_LAYOUTS = {"trials outermost": 0, "trials innermost": -1}
"""For each layout, the axis of the trials in every array of parameters."""

Layer = dict[str, Any]
"""The arrays of one layer by name."""


class Side:
    """The process of the JAX side, on one thread."""

    def __init__(self) -> None:
        os.environ["XLA_FLAGS"] = _ONE_THREAD
        with _one_core():
            import jax

            jax.config.update("jax_platforms", "cpu")
            jax.devices()

    def prepare(self, overrides: list[str], folder: str, width: int = LANES) -> dict[str, Any]:
        """Build and compile `width` trials, whose seeds start at 0, in the faster layout; no step is taken yet."""
        trials = trials_of(overrides, range(width))
        data = load_images(tuple(overrides), Path(folder))
        loops = {layout: Loop(trials, data, layout) for layout in _LAYOUTS}
        rates = {}
        for layout, loop in loops.items():
            loop.take()  # compiles
            clock = Clock()
            loop.take()
            rates[layout] = clock.rates(loop.block * width)["rate"]
        layout = max(rates, key=lambda name: rates[name])
        self._loop = loops[layout]
        self._loop.restart()
        return {
            "parameters": self._loop.parameters,
            "width": width,
            "layout": layout,
            "layout_rates": rates,
        }

    def losses_after(self, steps: int) -> list[float]:
        """Each trial's training loss once it has taken `steps` steps in all, which are whole blocks."""
        while self._loop.steps_taken < steps:
            self._loop.take()
        assert self._loop.steps_taken == steps
        return self._loop.losses()

    def run(self, seconds: float) -> dict[str, float]:
        """The rates of trial-steps over at least `seconds`, and the mean training loss before and after."""
        loop = self._loop
        before, started = statistics.mean(loop.losses()), loop.steps_taken
        clock = Clock()
        while clock.wall_seconds < seconds:
            loop.take()
        rates = clock.rates(loop.width * (loop.steps_taken - started))
        return {**rates, "loss_before": before, "loss_after": statistics.mean(loop.losses())}


class Loop:
    """Trials of a fully connected network under plain SGD, from bnbench's weights on bnbench's batches.

    Args:
        trials: For each of them `taking_part.known_to_jax` is true.
        data: Their images.
        layout: Of `_LAYOUTS`.
    """

    def __init__(self, trials: Sequence[Trial], data: ImageData, layout: str) -> None:
        import jax
        import jax.numpy as jnp

        trial = trials[0]
        self.width = len(trials)
        self.block = _SHORT_BLOCK if trial.training.batch_size > _LARGE_BATCH else _LONG_BLOCK
        self._batches = PackImages(data, PackedTrials(trials))
        split = split_data(data, kind=trial.data.split, seed=trial.seed, train_examples=trial.data.train_examples)
        scale, shift = (values.reshape(1, -1, 1, 1) for values in scaling(data, split, trial.data.scaling))
        scaled = (pixels(data, trial.data.scaling) * scale + shift).astype(np.float32)
        images, labels = jnp.asarray(scaled.reshape(len(scaled), -1)), jnp.asarray(data.labels)
        self._nets = [build_model(each, data.shape, data.classes) for each in trials]
        self.parameters = parameter_count(self._nets[0])
        layers = self._layers = lane_layers(self._nets[0], data.shape, trials[0].training.batch_size, decays=False)
        momentum = trial.norm.momentum
        assert momentum is not None, "a trial's norm is resolved"
        axis = self._axis = _LAYOUTS[layout]
        self.restart()
        self._lrs = jnp.asarray([each.lr for each in trials], jnp.float32)

        def loss_of(learned: list[Layer], running: list[Layer], rows: Any) -> tuple[Any, list[Layer]]:
            logits, moved = _forward(layers, momentum, learned, running, images[rows])
            chances = jax.nn.log_softmax(logits)
            return -jnp.take_along_axis(chances, labels[rows][:, None], 1).mean(), moved

        def step(
            learned: list[Layer], running: list[Layer], rows: Any, lr: Any
        ) -> tuple[list[Layer], list[Layer], Any]:
            (loss, moved), gradients = jax.value_and_grad(loss_of, has_aux=True)(learned, running, rows)
            return jax.tree.map(lambda p, g: p - lr * g, learned, gradients), moved, loss

        steps = jax.vmap(step, in_axes=(axis, axis, 0, 0), out_axes=(axis, axis, 0))

        def block(
            learned: list[Layer], running: list[Layer], rows: Any, lrs: Any
        ) -> tuple[list[Layer], list[Layer], Any]:
            def body(carry: tuple[list[Layer], list[Layer]], rows: Any) -> tuple[tuple[list[Layer], list[Layer]], Any]:
                *state, losses = steps(*carry, rows, lrs)
                return tuple(state), losses

            (learned, running), losses = jax.lax.scan(body, (learned, running), rows)
            return learned, running, losses

        self._take: Callable[..., Any] = jax.jit(block, donate_argnums=(0, 1))
        self._losses: Callable[..., Any] = jax.jit(jax.vmap(loss_of, in_axes=(axis, axis, 0), out_axes=(0, axis)))

    def restart(self) -> None:
        """Go back to the initial weights, before the first step."""
        self.steps_taken = 0
        self._learned = [_stacked(self._nets, _learned(layer), self._axis) for layer in self._layers]
        self._running = [_stacked(self._nets, _running(layer), self._axis) for layer in self._layers]

    def take(self) -> None:
        """Take the next block of steps, on the rows that bnbench's trials have."""
        stop = self.steps_taken + self.block
        rows = _indices(self._batches.train_rows(self.steps_taken, stop))
        self._learned, self._running, losses = self._take(self._learned, self._running, rows, self._lrs)
        losses.block_until_ready()
        self.steps_taken = stop

    def losses(self) -> list[float]:
        """Each trial's loss on its first training images, in one batch that is normalized by its own statistics."""
        rows = _indices(self._batches.first_train_rows(_PROBE_IMAGES))
        losses, _ = self._losses(self._learned, self._running, rows)
        return [float(loss) for loss in losses]


def _forward(
    layers: Sequence[LaneLayer], momentum: float, learned: list[Layer], running: list[Layer], x: Any
) -> tuple[Any, list[Layer]]:
    """Logits (N, classes) of x (N, inputs), and the running statistics after that batch."""
    import jax

    moved = []
    for layer, own, old in zip(layers, learned, running, strict=True):
        x = x @ own["weight"]
        if layer.bias:
            x = x + own["bias"]
        new = old
        if layer.norm == NormPlace.before:
            x, new = _normalized(layer, momentum, own, old, x)
        if layer.activation == Activation.relu:
            x = jax.nn.relu(x)
        if layer.norm == NormPlace.after:
            x, new = _normalized(layer, momentum, own, old, x)
        moved.append(new)
    return x, moved


def _normalized(layer: LaneLayer, momentum: float, own: Layer, running: Layer, x: Any) -> tuple[Any, Layer]:
    import jax

    N = len(x)
    mean, var = x.mean(0), x.var(0)
    new = {"mean": mean, "var": var * (N / (N - 1)) if layer.unbiased else var}
    moved = {name: (1 - momentum) * running[name] + momentum * new[name] for name in running}
    y = (x - mean) * jax.lax.rsqrt(var + layer.eps)
    return y * own["gamma"] + own["beta"] if layer.affine else y, moved


def _learned(layer: LaneLayer) -> dict[str, str]:
    names = {"weight": f"{layer.path}.weight"}
    if layer.bias:
        names["bias"] = f"{layer.path}.bias"
    if layer.norm != NormPlace.none and layer.affine:
        names |= {"gamma": f"{layer.norm_path}.weight", "beta": f"{layer.norm_path}.bias"}
    return names


def _running(layer: LaneLayer) -> dict[str, str]:
    if layer.norm == NormPlace.none:
        return {}
    return {name: f"{layer.norm_path}.running_{name}" for name in ("mean", "var")}


def _stacked(nets: Sequence[nn.Module], names: dict[str, str], axis: int) -> Layer:
    """Arrays of all trials; weights, (inputs, outputs) of each, are those of torch turned."""
    import jax.numpy as jnp

    def array(name: str) -> Any:
        tensors = [_tensor(net, name).detach().numpy() for net in nets]
        return jnp.asarray(np.stack([tensor.T for tensor in tensors], axis))

    return {short: array(name) for short, name in names.items()}


def _tensor(net: nn.Module, name: str) -> Tensor:
    owner, _, attribute = name.rpartition(".")
    tensor: Tensor = getattr(net.get_submodule(owner), attribute)
    return tensor


def _indices(rows: Tensor) -> np.ndarray:
    return rows.numpy().astype(np.int32)


@contextmanager
def _one_core() -> Iterator[None]:
    """While it lasts, this process sees one core, so that a pool of threads made meanwhile has one."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended
            os.sched_setaffinity(int(task.name), allowed)
