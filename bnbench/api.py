"""bnbench from Python: run a sweep, load one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bnbench.config import Config, ConfigError
from bnbench.config.workspace import Workspace
from bnbench.sweep.hydra_app import task
from bnbench.sweep.hydra_session import compose_one, hydra_session

if TYPE_CHECKING:
    from bnbench.sweep.running.published import Sweep


def run(*overrides: str, network: Callable[..., Any] | None = None, norm: Callable[..., Any] | None = None) -> Sweep:
    """Run a sweep or a trial, as the command line would.

    Args:
        overrides: What the command line takes: `"+sweep=placement"`, `"model=fc"`, `"seed=range(3)"`. A word
            without `=` names a sweep: `"placement"` is `"+sweep=placement"`. Sweeps of several threads run one
            after another; a program that is itself a Hydra application keeps its own configuration.
        network: A network of your own in place of `model=custom model.factory=…`: a class or function, called as
            `python -m bnbench docs own` says. One that a notebook defines is written into a module in the folder
            `bnbench_networks`, from which its trials can be trained again.
        norm: A norm of your own, likewise, in place of `norm=custom norm.factory=…`; "norm=none,batch,custom" says what
            it is compared with. Its folder is `bnbench_norms`.

    Returns:
        Its trials, curves and report; of a sweep with `sweep.parts`, such as `claims`, those of its last part.

    Raises:
        ConfigError: If anything is wrong with the configuration of any trial, before anything is trained; or if the
            source of `network` or `norm`, or of something it uses, cannot be had.
        SweepFailedError: If trials failed; the rest is recorded and can be loaded.

    Example:
        >>> sweep = run("placement", "model=fc")  # doctest: +SKIP
        >>> sweep.trials.groupby("norm.placement")["test/acc"].mean()  # doctest: +SKIP
    """
    words = [word if "=" in word else f"+sweep={word}" for word in overrides]
    for what, given in (("network", network), ("norm", norm)):
        if given is not None:
            words += _naming(what, given, words)
    with hydra_session(words) as hydra:
        sweep: Sweep = hydra.multirun(
            config_name="config", task_function=task, overrides=words, with_log_configuration=False
        )
        return sweep


def _naming(what: str, given: Callable[..., Any], words: Sequence[str]) -> list[str]:
    """The overrides that name a network or a norm that is given as it is."""
    from bnbench.config.notebook_source import SECTIONS, factory_name

    section = SECTIONS[what]
    typed = {key: word for word in words for key in [word.lstrip("+").partition("=")[0]]}
    chosen = typed.get(section, f"{section}=custom")
    if f"{section}.factory" in typed or "custom" not in re.findall(r"\w+", chosen):
        other = typed.get(f"{section}.factory", chosen)
        raise ConfigError(f"{what}= and {other} contradict each other; give one of them, or {section}=…,custom")
    return [*([] if section in typed else [chosen]), f"{section}.factory={factory_name(what, given)}"]


def load(sweep: str = "latest", *overrides: str) -> Sweep:
    """A recorded sweep, read back from the tracking store.

    Args:
        sweep: A name for the newest sweep of it, `<name>-<id>`, an MLflow run id, or "latest".
        overrides: Where it is: `"runs_dir=…"`, `"tracking.uri=…"`.

    Raises:
        TrackingError: If there is no such sweep.
    """
    return load_with(sweep, compose_one(overrides))


def load_with(sweep: str, config: Config) -> Sweep:
    """`load`, with the settings at hand."""
    from bnbench.analysis.default_targets import with_default_targets
    from bnbench.sweep.running.published import Sweep
    from bnbench.tracking import Store

    store = Store.open(Workspace.of(config), create=False)
    table = with_default_targets(store.load(sweep))
    return Sweep(table, store.workspace.sweep_folder(table.record.asked.name, table.record.asked.id))
