"""Says where a sweep is recorded, to the user and as the settings of a command that finds it again."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from bnbench.config import Config
from bnbench.config.workspace import Workspace
from bnbench.record.redaction import redacted

_BARE = re.compile(r"(?!(?:null|true|false|nan|inf)$)[a-z./][\w./:@%+-]*", re.I | re.A)
"""A text that needs no quotes in Hydra's grammar."""


def ready_command(verb: str, config: Config, *named: str) -> str:
    """`python -m bnbench VERB NAMED`, ready to be pasted, with the settings of the place where `config` records.

    A password in an address is not repeated.
    """
    words = [*named]
    runs_dir = Workspace.of(config).runs_dir
    if runs_dir != Workspace.at(Path(Config.runs_dir)).runs_dir:
        inside = runs_dir.is_relative_to(Path.cwd())
        words.append(_word("runs_dir", str(runs_dir.relative_to(Path.cwd()) if inside else runs_dir)))
    tracking = config.tracking
    if tracking.uri is not None:
        words.append(_word("tracking.uri", redacted(tracking.uri)))
    elif os.environ.get("MLFLOW_TRACKING_URI"):
        words.append("tracking.uri=null")
    if tracking.experiment != type(tracking).experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        words.append(_word("tracking.experiment", tracking.experiment))
    return shlex.join(["python", "-m", "bnbench", verb, *words])


def describe_place(config: Config) -> str | None:
    """A line on where results are recorded; None for where they usually are."""
    tracking = config.tracking
    if tracking.uri is None and tracking.experiment == type(tracking).experiment:
        return None
    uri = "SQLite under runs_dir" if tracking.uri is None else redacted(tracking.uri)
    store = _of_environment(uri, tracking.uri, "MLFLOW_TRACKING_URI")
    experiment = _of_environment(tracking.experiment, tracking.experiment, "MLFLOW_EXPERIMENT_NAME")
    return f"tracking: {store}, experiment {experiment}"


def _of_environment(shown: str, value: str | None, name: str) -> str:
    return f"{shown} (from {name})" if value and os.environ.get(name) == value else shown


def _word(key: str, value: str) -> str:
    quoted = value if _BARE.fullmatch(value) else QuotedString(value, Quote.single).with_quotes()
    return f"{key}={quoted}"
