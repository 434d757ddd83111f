"""The measures of `training.measures`, taken of all slots of a pack at once without changing their training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from bnbench.config import Activation, Measure, Statistics, Trial
from bnbench.config.evaluation_grid import measured_steps
from bnbench.record import names
from bnbench.training.callbacks import Curves
from bnbench.training.measures import activations, gradients
from bnbench.training.measures import weight_norms as weights
from bnbench.training.measures.activations import Units
from bnbench.training.measures.rank import soft_rank
from bnbench.training.measures.shift import internal_covariate_shift
from bnbench.training.measures.smoothness import STEP_SIZES, smoothness
from bnbench.training.module import PackModule
from bnbench.training.probe import Probe, probe

_SHIFT_LAYERS = 4  # the first after the lowest, the last, and some between; each costs a step
_RARE = (Measure.hessian,)  # as costly as hundreds of steps
_BOUNDED = (Activation.sigmoid, Activation.tanh)


class MeasureRecorder(pl.Callback):
    """Takes the measures of the trials on the grid of measured steps.

    Args:
        trial: Any trial of the pack, because all agree on the grid and the measures.
        trials: How many trials to keep curves of, from the first slot on.

    Attributes:
        curves: By trial, then metric; (step, value) pairs, finite ones only, none after a divergence.
    """

    def __init__(self, trial: Trial, trials: int) -> None:
        self._measures = [measure for measure in TAKERS if measure in trial.training.measures]
        steps = measured_steps(trial)
        self._steps = {*steps}
        self._rare_steps = {*steps[:1], *steps[len(steps) // 2 :][:1], *steps[-1:]}
        self._before: tuple[list[int], list[Units]] | None = None
        self.curves: list[Curves] = [{} for _ in range(trials)]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == 0 and self._measures:
            self._measure(pl_module, 0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in self._steps and not trainer.should_stop:
            self._measure(pl_module, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        # Plain tuples: a checkpoint holds no classes.
        before = None if self._before is None else (self._before[0], [(*units,) for units in self._before[1]])
        return {"curves": self.curves, "before": before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        before = state_dict["before"]
        self.curves = state_dict["curves"]
        self._before = before and (before[0], [Units(*values) for values in before[1]])

    def _measure(self, module: pl.LightningModule, step: int) -> None:
        assert isinstance(module, PackModule)
        optimizer: Any = module.optimizers()
        measured: dict[str, Tensor] = {}
        with probe(module, optimizer.optimizer, step, self._units_before(module)) as current:
            for measure in self._measures:
                if measure not in _RARE or step in self._rare_steps:
                    measured |= TAKERS[measure](current)
            if Measure.activations in self._measures:
                self._before = [*module.started_in], current.units
        values = {key: value.tolist() for key, value in measured.items()}
        for trial, slot in module.slots_of(len(self.curves)).items():
            if module.diverged_at[trial] is None:
                for key, by_slot in values.items():
                    if math.isfinite(by_slot[slot]):
                        self.curves[trial].setdefault(key, []).append((step, by_slot[slot]))

    def _units_before(self, module: PackModule) -> list[Units] | None:
        """The units of the previous measurement, in the order of the slots that trials have now."""
        if self._before is None:
            return None
        started_in, layers = self._before
        slots = [started_in.index(start) for start in module.started_in]
        return [units.of(slots) for units in layers]


def _gradients(probe: Probe) -> dict[str, Tensor]:
    sizes = gradients.norms([probe.gradients[layer.weight] for layer in probe.layers])  # (K, L)
    last = len(probe.hidden_layers) - 1
    measured = {
        names.GRADIENT_FIRST: sizes[:, 0],
        names.GRADIENT_LAST: sizes[:, last],
        names.GRADIENT_MAX: sizes.amax(1),
        **{names.layer_gradient(layer): of_layer for layer, of_layer in enumerate(sizes.unbind(1), start=1)},
    }
    if last >= 2:
        measured[names.GRADIENT_SLOPE] = gradients.log10_slope(sizes[:, 1 : last + 1])
    biases = [probe.gradients[layer.bias] for layer in probe.layers[:-1] if layer.bias is not None]
    if biases:
        measured[names.GRADIENT_BIAS] = gradients.total_norm(biases)
    return measured


def _activations(probe: Probe) -> dict[str, Tensor]:
    hidden = probe.hidden
    if not hidden.inputs:
        return {}
    percentiles = probe.units[-1].percentiles[:, 0].unbind(1)
    measured = dict(zip(names.ACTIVATION_PERCENTILES.values(), percentiles, strict=True))
    measured[names.ACTIVATION_LARGEST] = activations.largest(hidden.inputs)
    measured[names.ACTIVATION_DEAD] = activations.dead(hidden.lowest, hidden.highest)
    if probe.module.trials.shared.model.activation in _BOUNDED:
        measured[names.ACTIVATION_SATURATED] = activations.saturated(hidden.inputs)
    if probe.before is not None:
        keys = (names.ACTIVATION_DRIFT_PERCENTILES, names.ACTIVATION_DRIFT_MEAN, names.ACTIVATION_DRIFT_VARIANCE)
        measured |= zip(keys, activations.drift(probe.before, probe.units), strict=True)
    return measured


def _effective_lr(probe: Probe) -> dict[str, Tensor]:
    hidden = [layer.weight.detach() for layer in probe.hidden_layers]
    return {
        names.WEIGHT_NORM: weights.weight_norm(hidden),
        names.EFFECTIVE_LR: weights.effective_lr(hidden, probe.lrs),
    }


def _rank(probe: Probe) -> dict[str, Tensor]:
    hidden = probe.hidden
    return {names.LAST_HIDDEN_RANK: soft_rank(hidden.features)} if hidden.inputs else {}


def _population_gap(probe: Probe) -> dict[str, Tensor]:
    if not probe.pack.has_running_statistics:
        return {}
    return {names.POPULATION_GAP: probe.accuracy(Statistics.precise) - probe.accuracy(Statistics.running)}


def _shift(probe: Probe) -> dict[str, Tensor]:
    above = probe.layers[1:]
    if not above:
        return {}
    places = {round(i * (len(above) - 1) / (_SHIFT_LAYERS - 1)) for i in range(_SHIFT_LAYERS)}
    chosen = [above[place] for place in sorted(places)]
    after = []
    for layer in chosen:
        below = next(i for i, parameter in enumerate(probe.parameters) if parameter is layer.weight)
        _, [gradient] = probe.loss_and_gradients([layer.weight], at=[*probe.next_values[:below], *probe.values[below:]])
        after.append(gradient)
    before = [probe.gradients[layer.weight] for layer in chosen]
    return dict(zip((names.SHIFT_DISTANCE, names.SHIFT_COSINE), internal_covariate_shift(before, after), strict=True))


def _smoothness(probe: Probe) -> dict[str, Tensor]:
    step = [after - before for before, after in zip(probe.values, probe.next_values, strict=True)]
    along = [
        probe.loss_and_gradients(
            probe.parameters, at=[value + size * move for value, move in zip(probe.values, step, strict=True)]
        )
        for size in STEP_SIZES
    ]
    values = smoothness(step, [probe.gradients[parameter] for parameter in probe.parameters], along)
    return dict(zip((names.LOSS_RANGE, names.GRADIENT_RANGE, names.EFFECTIVE_BETA), values, strict=True))


def _hessian(probe: Probe) -> dict[str, Tensor]:
    spectrum = probe.spectrum()
    return {
        names.HESSIAN_LARGEST: spectrum.largest,
        names.HESSIAN_SMALLEST: spectrum.smallest,
        names.HESSIAN_CONDITION: spectrum.condition,
    }


def _last_batch(probe: Probe) -> dict[str, Tensor]:
    evaluation = probe.on_last_batch()
    return {names.LAST_BATCH_LOSS: evaluation.loss, names.LAST_BATCH_ACC: evaluation.acc}


TAKERS: dict[Measure, Callable[[Probe], dict[str, Tensor]]] = {
    Measure.gradients: _gradients,
    Measure.activations: _activations,
    Measure.effective_lr: _effective_lr,
    Measure.rank: _rank,
    Measure.population_gap: _population_gap,
    Measure.shift: _shift,
    Measure.smoothness: _smoothness,
    Measure.hessian: _hessian,
    Measure.last_batch: _last_batch,
}
"""The functions that take each measure during training."""
