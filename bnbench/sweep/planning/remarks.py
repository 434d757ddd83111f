"""What must be said of images, networks and norms of the user's own, in the plan and in the report."""

from __future__ import annotations

from collections.abc import Iterator

from bnbench.config import Bias, Engine, Init, ModelConfig, Placement
from bnbench.config.engine import why_torch
from bnbench.data import OWN, dataset_info
from bnbench.lanes.library import why_no_kernels
from bnbench.models import site_kind
from bnbench.sweep.planning.describe import count
from bnbench.sweep.planning.plan import Plan

_MOST_NAMED = 3


def own_remarks(plan: Plan) -> list[str]:
    """Lines, without full stops, on images, trials trained one by one, initial weights, biases and evaluations."""
    alone = (f"{count(number, 'trial')} one by one, not in packs: {reason}" for reason, number in plan.alone.items())
    return [
        *dict.fromkeys([*_images(plan), *_kernels(plan), *alone, *_weights(plan), *_biases(plan), *_evaluations(plan)])
    ]


def _kernels(plan: Plan) -> Iterator[str]:
    """A line if trials are left to torch because bnbench's kernels are missing here."""
    left_to_torch = [
        p
        for p in plan.planned
        if p.trial.training.engine == Engine.torch
        and why_torch(p.trial.model, p.trial.norm, p.trial.optimizer, p.trial.training) is None
        and p.chosen_engine == Engine.auto
    ]
    if left_to_torch:
        trials = count(len(left_to_torch), "trial")
        yield f"{trials} by torch, because bnbench's own kernels are missing: {why_no_kernels()}"


def _images(plan: Plan) -> Iterator[str]:
    """What each data set holds, how it was read, and how it is split."""
    for trial in (p.trial for p in plan.planned if p.trial.data.name in OWN):
        info = dataset_info(trial.data)
        train = min(trial.data.train_examples or info.train, info.train)
        sizes = f"{train:,} / {info.val:,} / {info.test:,} train / validation / test images"
        yield from (f"{info.summary}: {what}" for what in (*info.notes, sizes))


def _evaluations(plan: Plan) -> Iterator[str]:
    """A line for each network or norm that draws random numbers or changes its state while it is evaluated."""
    for p in plan.planned:
        if p.rehearsal is None:
            continue
        from bnbench.packing.rehearsal import source

        who = source(p.trial)
        if p.rehearsal.draws_evaluating:
            yield (
                f"{who} draws random numbers while it is evaluated too (F.dropout without training=self.training, or "
                "noise): accuracies and losses are those of its noisy outputs, from the trial's seed"
            )
        if p.rehearsal.buffers_changed_evaluating:
            names = ", ".join(p.rehearsal.buffers_changed_evaluating[:_MOST_NAMED])
            yield (
                f"{who} changes {names} while it is evaluated too: validation and test images reach what it computes; "
                "let it do so only where self.training is true"
            )


def _weights(plan: Plan) -> Iterator[str]:
    """A line for each network that brings other initial weights than its layers' constructors draw."""
    from bnbench.models.own import survey

    for trial in (p.trial for p in plan.planned if p.trial.model.name == "custom"):
        info = dataset_info(trial.data)
        weights, model = survey(trial.model, info.shape, info.classes).brought_weights, trial.model
        if not weights.layers:
            continue
        names = f"{', '.join(weights.layers[:_MOST_NAMED])}{', …' if len(weights.layers) > _MOST_NAMED else ''}"
        where = f"{len(weights.layers)} of its {weights.layer_count} layers and norms ({names})"
        if Init.own not in (model.init, model.head_init):
            yield (
                f"model.factory={model.factory} brings initial weights of its own in {where}: they are drawn anew, by "
                f"model.init={model.init}, and norms start at their defaults; model.init=own keeps them"
            )
            continue
        seeds = ", the same at every seed: seeds differ in batches and in what is not kept" if weights.checksum else ""
        yield f"the initial weights that model.factory={model.factory} brings in {where} are kept{_but(model)}{seeds}"


def _biases(plan: Plan) -> Iterator[str]:
    """A line on the biases right before each norm of the user's own, where bnbench decides about them."""
    for trial in (p.trial for p in plan.planned if p.trial.norm.name == "custom" and p.trial.model.name != "custom"):
        if trial.model.bias != Bias.auto or trial.norm.placement == Placement.after:
            continue
        info = dataset_info(trial.data)
        kind = site_kind(trial.model, trial.norm, info.shape, info.classes)
        if kind.removes_shift:
            yield f"biases right before the {kind.summary} are dropped, as before norm=batch: it cancels them"
        else:
            why = "does not declare removes_shift" if kind.removes_shift is None else "does not cancel them"
            yield f"biases right before the {kind.summary} stay, unlike before norm=batch: it {why}"


def _but(model: ModelConfig) -> str:
    if model.init != Init.own:
        return ", of the layer called head alone"
    return "" if model.head_init in (None, Init.own) else f", but the layer called head is drawn by {model.head_init}"
