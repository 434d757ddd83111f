"""Preset views for MLflow's UI: how all trials of an experiment, and those of each sweep, are best looked at."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from bnbench.names import ACC_BEST, TEST_ACC, TEST_LOSS, TRAIN_LOSS, VAL_ACC, VAL_LOSS, Tag, steps_to
from bnbench.tracking.connect import Connection
from bnbench.tracking.view_state import Bars, Chart, Curve, Group, Parallel, Scatter, View

__all__ = ["all_trials", "links", "sweep_views", "view_address", "view_id", "write_views"]

_VERSIONS = re.compile(r"3\.(?:1[5-9]|[2-9]\d)\.")  # MLflow's that have such views
_EXPERIMENT = {
    "mlflow.experimentKind": "custom_model_development",  # its page opens on the runs, not on traces of language models
    MLFLOW_RUN_NOTE: (
        "Recorded by bnbench. A sweep is a run, with its report among its artifacts; its trials are the runs under it. "
        "The Views menu of the runs' page has charts of all trials and of each sweep."
    ),
}
_NORM_KEYS = {"norm", "norm.placement"}
_KINDS = ("data", "model", "optimizer")  # trials that differ in these are never averaged
_GRID = ("training.steps", "training.eval_grid", "training.eval_every")
_COLUMNS = (f"tags.`{Tag.STATUS}`", f"tags.`{Tag.NORM}`")
_OF_TRIALS = f"tags.`{Tag.KIND}` = 'trial'"
_AS_TRAINING = "workflowType=machine_learning"  # the menu of trainings, not that of language models
_MOST_CLAUSES = 10  # tuning seeds that a filter names


def write_views(connection: Connection, meta: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> None:
    """Write the views of all trials and of this sweep; a sweep's earlier views of the same name are replaced.

    A store that takes no such tags is left without: no sweep ends for want of a view.

    Args:
        connection: The open store.
        meta: The sweep's description, as `SweepTable.meta` has it.
        trials: Its planned trials: `params` of each.
    """
    if not _VERSIONS.match(mlflow.__version__):
        return
    now = round(time.time() * 1000)
    tags = dict(view.tag(now) for view in [*all_trials(), *sweep_views(meta, [trial["params"] for trial in trials])])
    with suppress(MlflowException, OSError):
        known = connection.client.get_experiment(connection.experiment_id).tags
        tags |= {key: value for key, value in _EXPERIMENT.items() if key not in known}
        for key, value in tags.items():
            connection.client.set_experiment_tag(connection.experiment_id, key, value)


def view_address(experiment_id: str, view: str, *, table: bool = False) -> str:
    """Where on a server a view is: its charts, or its table."""
    query = {"viewStateShareKey": view, "compareRunsMode": "TABLE" if table else "CHART"}
    return f"#/experiments/{experiment_id}/runs?{urlencode(query)}&{_AS_TRAINING}"


def links(meta: Mapping[str, Any]) -> str:
    """A line of Markdown that leads from a sweep's run to its report and its charts.

    Args:
        meta: The sweep's description, as the store gives it back.
    """
    experiment = meta["experiment_id"]
    named = {"report": f"#/experiments/{experiment}/runs/{meta['run_id']}/artifacts/report.html?{_AS_TRAINING}"}
    for kind in ("convergence", "settings", "trials"):
        named[kind] = view_address(experiment, view_id(meta["name"], kind), table=kind == "trials")
    return " · ".join(f"[{name}]({address})" for name, address in named.items())


def view_id(name: str, kind: str) -> str:
    """The id of a sweep's view; kinds are convergence, settings and trials."""
    return f"bnbench-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-{kind}"


def all_trials() -> list[View]:
    """The views of every trial in an experiment."""
    params = ["model", "optimizer.lr", "training.batch_size"]
    return [*_views("all trials", _OF_TRIALS, [("tag", Tag.NORM)], ["model"], params, targets=[])]


def sweep_views(meta: Mapping[str, Any], params: Sequence[Mapping[str, Any]]) -> list[View]:
    """The views of a sweep's trials.

    Args:
        meta: Its description.
        params: Of each trial.
    """
    compare = meta.get("compare") or []
    levels: list[Group] = [("tag", Tag.NORM)] if _NORM_KEYS & {*compare} else []
    levels += [("param", key) for key in compare if key not in _NORM_KEYS]
    others = [key for key in meta.get("arm_keys", ()) if key not in {*compare, *_NORM_KEYS}]
    tuning = meta["tuning_seeds"] if len(meta["tuning_seeds"]) <= _MOST_CLAUSES else []
    wanted = [f"tags.`{Tag.SWEEPS}` LIKE '%{meta['id']}%'", *(f"params.`seed` != '{seed}'" for seed in tuning)]
    curves = _curve_keys(others, [*_NORM_KEYS, *compare], params)
    targets = _targets(meta, {trial["model"] for trial in params})
    return [*_views(meta["name"], " AND ".join(wanted), levels, curves, others, targets, meta["id"])]


def _views(
    name: str,
    wanted: str,
    levels: Sequence[Group],
    curves: Sequence[str],
    others: Sequence[str],
    targets: Sequence[float],
    of: str = "",
) -> Iterator[View]:
    """Convergence by level, arms by their settings, and trial by trial.

    Args:
        name: What the views are of.
        wanted: Which trials, as a filter.
        levels: What is compared.
        curves: What else curves are told apart by.
        others: What else the trials differ in.
        targets: Accuracies; the steps to them are shown in the table.
        of: The sweep's id, or nothing.
    """
    results = [TEST_ACC, TEST_LOSS, ACC_BEST, *map(steps_to, targets)]
    columns = [*_COLUMNS, *(f"params.`{key}`" for key in [*others, "seed"]), *(f"metrics.`{key}`" for key in results)]
    title = f"{name} ({of})" if of else name
    averaged = ", ".join(["seeds", *(key for key in others if key not in curves)])
    own_scale: list[Chart] = [Curve(VAL_ACC), Curve(TRAIN_LOSS, log=True), Curve(VAL_LOSS, log=True)]
    points: list[Chart] = [Scatter(key, TEST_ACC) for key in others if key not in _KINDS]
    kinds: list[tuple[str, dict[str, list[Chart]], list[Group]]] = [
        ("convergence", {f"Convergence: mean over {averaged}": own_scale}, [*levels, *_params(curves)]),
        ("settings", {"Arms: mean over seeds": [Bars(TEST_ACC), *points]}, [*levels, *_params(others)]),
        ("trials", {"Trial by trial": [Parallel(["norm", *others], TEST_ACC)]}, []),
    ]
    for kind, sections, groups in kinds:
        yield View(view_id(name, kind), f"{title}: {kind}", wanted, TEST_ACC, sections, columns, groups)


def _params(keys: Sequence[str]) -> list[Group]:
    return [("param", key) for key in keys]


def _curve_keys(others: Sequence[str], levels: Sequence[str], params: Sequence[Mapping[str, Any]]) -> list[str]:
    """What curves must be told apart by, so that those averaged have points at the same steps."""
    keys = [key for key in others if key in _KINDS]
    left = [key for key in others if key not in keys]
    while left and _grids_differ([*levels, *keys], params):
        decisive = (key for key in left if not _grids_differ([*levels, *keys, key], params))
        keys.append(next(decisive, left[0]))
        left.remove(keys[-1])
    return keys


def _grids_differ(keys: Sequence[str], params: Sequence[Mapping[str, Any]]) -> bool:
    """Whether trials that agree on these keys are evaluated at different steps."""
    grids: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for trial in params:
        group = tuple(str(trial.get(key)) for key in keys)
        grids.setdefault(group, set()).add(tuple(str(trial.get(key)) for key in _GRID))
    return any(len(seen) > 1 for seen in grids.values())


def _targets(meta: Mapping[str, Any], models: Set[str]) -> list[float]:
    """Each model's highest accuracy whose steps are recorded."""
    config = meta.get("config")
    if config is None:
        return []
    given = config["training"]["targets"]
    lists = [given] if given is not None else [config["data"]["targets"].get(model, []) for model in models]
    return sorted({max(targets) for targets in lists if targets})
