"""What a norm asks of the model and the batch size, and what it does where a channel has a single value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bnbench.config import ALL_MODELS, ALL_NORMS, Config, LogitsNorm, Measure, SingleValue, Trial
from bnbench.config.nearest import did_you_mean
from bnbench.data import dataset_info
from bnbench.models import NormSite, norm_sites, site_kind
from bnbench.norms import Norm

_MOST_NAMED = 8


def norm_errors(config: Config) -> Iterator[str]:
    """What is wrong with a norm's settings for the model and batch size at hand, one line each."""
    norm = config.norm
    sites = _sites(config) if norm.name != "none" else []
    if not ALL_MODELS[config.model.name].blocks:
        yield from _own_network_errors(config, sites)
    elif norm.name != "none" and not sites:
        yield (
            f"norm={norm.name} has nothing to normalize in model={config.model.name} with "
            f"model.depth={config.model.depth}; use norm=none, or norm.logits=plain"
        )
    channels = [site.channels for site in sites]
    yield from ALL_NORMS[norm.name].errors(norm, config.training.batch_size, config.model.name, channels)


def _own_network_errors(config: Config, sites: Sequence[NormSite]) -> Iterator[str]:
    """What does not go with a network of the user's own."""
    norm, measures = config.norm, [m for m in config.training.measures if m != Measure.test_shift]
    source = f"model.factory={config.model.factory}"
    if norm.name != "none":
        yield from _placing_errors(config, sites, source)
    if norm.logits != LogitsNorm.none:
        yield f"norm.logits={norm.logits} is not for model={config.model.name}; end the network with a norm layer"
    if norm.weight_standardization:
        yield f"norm.weight_standardization=true is not for model={config.model.name}; set it to false"
    if measures:
        measured_models = " and ".join(f"model={name}" for name, model in ALL_MODELS.items() if model.blocks)
        yield (
            f"training.measures=[{','.join(measures)}] look into the layers of {measured_models}; with "
            f"model={config.model.name} {Measure.test_shift} alone is possible"
        )


def _placing_errors(config: Config, sites: Sequence[NormSite], source: str) -> Iterator[str]:
    """Why a norm cannot be put into a network of the user's own as it is asked for."""
    from bnbench.models.own import survey

    norm, info = config.norm, dataset_info(config.data)
    places = survey(config.model, info.shape, info.classes).places
    if not sites:
        yield (
            f"norm={norm.name} has nothing to take the place of in {source}, which has no norm, and no layer whose "
            "output goes into an activation alone"
        )
        return
    if norm.name == "own" and all(place.kind == "none" for place in places):
        yield f"norm=own keeps the norms of {source}, and it has none; use norm=none, or put in one by norm=batch, say"
    if norm.placement is not None and all(place.placement is None for place in places):
        yield (
            f"norm.placement={norm.placement} changes nothing in {source}: none of its {len(places)} norms has an "
            f"activation right beside it ({places[0].path} {places[0].why_not}); leave norm.placement out"
        )
    for part in norm.without.split("+") if norm.without else ():
        if not any(place.under([part]) for place in places):
            paths = [*dict.fromkeys(place.path for place in places)]
            named = ", ".join(paths[:_MOST_NAMED]) + (", …" if len(paths) > _MOST_NAMED else "")
            near = did_you_mean(part, paths)
            yield f"norm.without={part} is no norm of {source}, nor a part with norms{near}; allowed: {named}"


def undefined_reason(trial: Config | Trial) -> str | None:
    """Why a trial has no result by definition: a norm that sees one value per channel, where nothing is learned."""
    norm = _kind(trial)
    if norm.over_positions:
        cause, remedy = "a 1x1 map", "use another norm, or a model whose maps stay larger than 1x1"
    elif norm.over_batch and trial.norm.single_value == SingleValue.error:
        cause = _batch(trial)
        remedy = f"use norm=none, norm=layer or {cause.partition('=')[0]}>=2"
        if trial.norm.name not in ("custom", "own"):
            remedy = f"set norm.single_value=constant to train it all the same, or {remedy}"
    else:
        return None
    single = _single_value_sites(trial)
    if not single:
        return None
    return (
        f"{cause} leaves one value per channel in model={trial.model.name}{_where(trial, single)}, and "
        f"norm={trial.norm.name} {_outcome(trial)}; {remedy}"
    )


def remark(trial: Trial) -> str | None:
    """What a reader must know of a norm over the batch that saw one example at a time, or None."""
    if not _kind(trial).over_batch or _examples(trial) > 1:
        return None
    single, sites = _single_value_sites(trial), _sites(trial)
    parts = []
    if single:
        parts.append(f"one value per channel{_where(trial, single)}, and norm={trial.norm.name} {_outcome(trial)}")
    if len(single) < len(sites):
        rest = " in the other layers" if single else ""
        parts.append(f"the statistics of one image's positions{rest}, as instance norm has while training")
    return f"{_batch(trial)} leaves {'; '.join(parts)}; evaluation used norm.inference={trial.norm.inference}"


def _kind(trial: Config | Trial) -> Norm:
    info = dataset_info(trial.data)
    return site_kind(trial.model, trial.norm, info.shape, info.classes)


def _outcome(trial: Config | Trial) -> str:
    return ALL_NORMS[trial.norm.name].single_value


def _sites(trial: Config | Trial) -> list[NormSite]:
    info = dataset_info(trial.data)
    normed = trial.norm.name != "none" and trial.norm.logits != LogitsNorm.none
    return norm_sites(trial.model, info.shape, info.classes, logits=normed)


def _examples(trial: Config | Trial) -> int:
    """Over how many examples a mean is taken."""
    if _kind(trial).over_positions:
        return 1
    return ALL_NORMS[trial.norm.name].examples(trial.norm, trial.training.batch_size)


def _batch(trial: Config | Trial) -> str:
    part = ALL_NORMS[trial.norm.name].examples_key
    return f"{f'norm.{part}' if part else 'training.batch_size'}={_examples(trial)}"


def _single_value_sites(trial: Config | Trial) -> list[NormSite]:
    return [site for site in _sites(trial) if _examples(trial) * site.positions == 1]


def _where(trial: Config | Trial, single: Sequence[NormSite]) -> str:
    return "" if len(single) == len(_sites(trial)) else f" from {single[0].block} on"
