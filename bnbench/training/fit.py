"""Train one pack of trials and measure what came out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bnbench.config import Engine, Measure, Statistics, Trial
from bnbench.data import ImageData, largest_class
from bnbench.models import build_model
from bnbench.packing.lane_pack import lane_pack
from bnbench.packing.lone import LonePack
from bnbench.packing.pack import Pack, pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.packing.pixels import single_pixel_layers
from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.tensors.seeding import generators_kept
from bnbench.training.callbacks import CurveRecorder, Curves, ProgressReporter
from bnbench.training.checkpointing import Checkpointer, PackFile
from bnbench.training.data_module import PackDataModule
from bnbench.training.evaluate import evaluate
from bnbench.training.measures import summarize_curve
from bnbench.training.measuring import MeasureRecorder
from bnbench.training.module import PackModule
from bnbench.training.population import estimate_population
from bnbench.training.process import conditions
from bnbench.training.shifted import accuracy_under_shifts
from bnbench.training.trainer import train

_ONE_BY_ONE = 100


def fit(
    trials: Sequence[Trial],
    data: ImageData,
    *,
    report: Callable[[int, int], None] = lambda steps, diverged: None,
    checkpoints: Path | None = None,
    alone: bool = False,
    look: Callable[[Pack], None] = lambda pack: None,
) -> list[TrialResult]:
    """Train trials of one signature together.

    Args:
        trials: At least one; they agree on `Trial.signature`.
        data: The images.
        report: Called after every block with the steps taken and the number of trials that have diverged.
        checkpoints: The folder where the pack is saved every `training.checkpoint_every` steps and resumed from;
            None to do neither.
        alone: Whether to train the only trial as plain torch does, because the plan found that it cannot be packed.
        look: Called with the trained pack, from which the slots of diverged trials may be gone.

    Returns:
        One result a trial, in their order; the same to the bit whatever other trials are in the pack, and wherever
        training was broken off.
    """
    started = time.time()
    packed, packed_trials = make_pack(trials, data, alone)
    shared = packed_trials.shared
    parameters, statistics = packed.sizes()
    blocks = PackDataModule(data, packed_trials)
    if packed.needs_population:
        estimate_population(packed, blocks.images)
    module = PackModule(packed, blocks.images, packed_trials)
    recorder = CurveRecorder(shared, len(trials), len(blocks.images.splits[0].val))
    measurer = MeasureRecorder(shared, len(trials))
    process_conditions = conditions(shared.training.device)
    file = None if checkpoints is None else PackFile(checkpoints, [trial.key for trial in trials], process_conditions)
    callbacks = [recorder, measurer, ProgressReporter(report, len(trials))]
    checkpoint_every = shared.training.checkpoint_every
    if file is not None and checkpoint_every is not None:
        callbacks.append(Checkpointer(file.path, checkpoint_every))
    with generators_kept():
        train(module, blocks, callbacks, shared, file)
        final = _test(module, len(trials))
    packed.settle()
    look(packed)
    ended = time.time()
    results = []
    for slot, trial in enumerate(trials):
        results.append(
            _result(
                trial,
                recorder.curves[slot] | measurer.curves[slot],
                recorder.final[slot] | final[slot],
                module.diverged_at[slot],
                tags={
                    names.Tag.SLOT: str(slot),
                    names.Tag.PACK_WIDTH: str(len(trials)),
                    names.Tag.PACK_WALL_SECONDS: f"{ended - started:.3f}",
                    names.Tag.ALONE: str(alone).lower(),
                    **process_conditions,
                },
                parameters=parameters,
                statistics=statistics,
                val_curve=recorder.examples,
                data=_describe(data, blocks, slot),
                times=(started, ended),
            )
        )
    return results


def make_pack(trials: Sequence[Trial], data: ImageData, alone: bool = False) -> tuple[Pack, PackedTrials]:
    """The trials' networks as one, and the trial of each of its slots.

    Args:
        trials: At least one.
        data: The images.
        alone: Whether the one trial is trained as plain torch does.
    """
    packed_trials = PackedTrials(trials)
    shared = packed_trials.shared
    nets = [build_model(trial, data.shape, data.classes).to(shared.training.device) for trial in trials]
    if alone:
        [net] = nets
        return LonePack(net, shared.seed), packed_trials
    if shared.training.engine == Engine.lanes:
        return lane_pack(nets, packed_trials, data.shape)
    decays = shared.optimizer.weight_decay > 0  # all of them do, or none
    packed = pack(nets, () if decays else single_pixel_layers(nets[0], data.shape))
    return packed, packed_trials.padded(packed.slots)


def _test(module: PackModule, trials: int) -> list[dict[str, float]]:
    """Final test metrics by trial, without values that are not finite and without trials that diverged."""
    pack, images, trial = module.pack, module.images, module.trials.shared
    if pack.has_running_statistics:
        estimate_population(pack, images)

    def accuracy(examples: int, batch: int, statistics: Statistics) -> Tensor:
        rows = images.rows("test", examples)
        return evaluate(pack, images, rows, trial.training.loss, batch=batch, statistics=statistics).acc

    inference = trial.norm.inference
    size = min(len(split.test) for split in images.splits)
    on_all_images = evaluate(pack, images, images.rows("test", size), trial.training.loss, statistics=inference)
    one_by_one = accuracy(_ONE_BY_ONE, 1, inference)
    measured = {
        names.TEST_ACC: on_all_images.acc,
        names.TEST_LOSS: on_all_images.loss,
        names.TEST_ACC_ONE_BY_ONE: one_by_one,
    }
    if pack.has_running_statistics:
        for statistics in Statistics:
            measured[names.test_acc_under(statistics)] = accuracy(names.IN_BATCHES, names.EVALUATION_BATCH, statistics)
        for statistics in (Statistics.running, Statistics.batch):
            again = one_by_one if statistics == inference else accuracy(_ONE_BY_ONE, 1, statistics)
            measured[names.test_acc_one_by_one_under(statistics)] = again
    if Measure.test_shift in trial.training.measures:
        measured |= accuracy_under_shifts(pack, images, trial.training.loss)
    final: list[dict[str, float]] = [{} for _ in range(trials)]
    for index, slot in module.slots_of(trials).items():
        final[index] = {key: float(values[slot]) for key, values in measured.items() if math.isfinite(values[slot])}
    return final


def _result(
    trial: Trial,
    curves: Curves,
    final: dict[str, float],
    diverged_at: int | None,
    *,
    tags: dict[str, str],
    parameters: int,
    statistics: int,
    val_curve: int,
    data: dict[str, Any],
    times: tuple[float, float],
) -> TrialResult:
    diverged = diverged_at is not None
    metrics = summarize_curve(
        curves.get(names.VAL_ACC, []),
        targets=trial.targets,
        batch_size=trial.training.batch_size,
        diverged=diverged,
    )
    if not diverged:
        metrics |= final
    metrics[names.PARAMETERS] = float(parameters)
    metrics[names.STATISTICS] = float(statistics)
    metrics[names.VAL_IMAGES] = float(data["val"])
    metrics[names.VAL_IMAGES_CURVE] = float(val_curve)
    metrics[names.TEST_IMAGES] = float(data["test"])
    metrics[names.LARGEST_CLASS] = data["largest_class"]
    return TrialResult(
        key=trial.key,
        params=trial.params,
        status="diverged" if diverged else "finished",
        reason=f"the loss was not finite at step {diverged_at}" if diverged else None,
        metrics=metrics,
        curves=curves,
        diverged_step=diverged_at,
        tags=tags,
        data=data,
        started=times[0],
        ended=times[1],
    )


def _describe(data: ImageData, blocks: PackDataModule, slot: int) -> dict[str, Any]:
    split = blocks.images.splits[slot]
    return {
        "name": data.name,
        "source": data.source,
        "checksum": data.checksum,
        "train": len(split.train),
        "val": len(split.val),
        "test": len(split.test),
        "largest_class": largest_class(data.labels[split.test]),
    }
