"""The command line's verbs, each a function of the words after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.config import Config, ConfigError

__all__ = ["bench", "explain", "list", "report", "ui", "verify"]


def list(words: Sequence[str]) -> None:
    """Print the sweeps, models, norms and data sets there are."""
    from bnbench.confdir import conf_dir
    from bnbench.listing import listing

    rest = [*words]
    folders = [conf_dir()]
    while rest:
        word = rest.pop(0)
        if word != "--config-dir" or not rest:
            raise ConfigError(f"list {word} is not understood; allowed: list [--config-dir FOLDER]")
        folders.append(Path(rest.pop(0)))
    print(listing(folders))


def explain(words: Sequence[str]) -> None:
    """Print one trial's network, and the normalization of a small matrix worked by hand."""
    from bnbench.api import compose_one
    from bnbench.config import Trial
    from bnbench.data import DATASETS
    from bnbench.explain import explain as explanation
    from bnbench.sweep.norm_rules import norm_errors

    config = compose_one(words)
    if config.data.name not in DATASETS:
        raise ConfigError(f"data={config.data.name} is unknown; allowed: {', '.join(DATASETS)}")
    info = DATASETS[config.data.name]
    trial = Trial.from_config(config, train_size=info.train, data_checksum="")
    unfit = [*norm_errors(config)]
    if unfit:
        raise ConfigError("\n".join(unfit))
    print(explanation(trial, info.shape, info.classes))


def report(words: Sequence[str]) -> None:
    """Write a sweep's report again, from the tracking store alone."""
    from bnbench.api import load_with
    from bnbench.report import terminal_conclusion, write_report

    sweeps = [word for word in words if "=" not in word]
    if len(sweeps) > 1:
        raise ConfigError(f"report {' '.join(sweeps)} names {len(sweeps)} sweeps; give one, or none for the latest")
    sweep = load_with(sweeps[0] if sweeps else "latest", _settings(words))
    paths = write_report(sweep.table, sweep.folder)
    print(f"{terminal_conclusion(sweep.table, 100)}\n\nreport: {paths['report.html']}")


def ui(words: Sequence[str]) -> None:
    """Serve the MLflow UI on this machine until Ctrl-C."""
    import argparse

    from bnbench.tracking.server import serve_ui

    parser = argparse.ArgumentParser(prog="python -m bnbench ui", description="Serve the MLflow UI.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    options, rest = parser.parse_known_args([*words])
    config = _settings(rest)
    runs_dir = Path(config.runs_dir).expanduser().absolute()
    serve_ui(
        config.tracking.uri,
        runs_dir=runs_dir,
        host=options.host,
        port=options.port,
        open_browser=options.open,
    )


def verify(words: Sequence[str]) -> None:
    """Train some of a sweep's trials again, each alone, and compare every digit with the tracking store's."""
    from bnbench.sweep.verify import verify as verify_sweep

    sweep: str | None = None
    sample: int | None = 4
    settings = [word for word in words if word.startswith(("runs_dir=", "tracking.", "data.root="))]
    rest = [word for word in words if word not in settings]
    while rest:
        word = rest.pop(0)
        if word.startswith("--sample=") or (word == "--sample" and rest):
            given = word.partition("=")[2] or rest.pop(0)
            if given != "all" and not (given.isdecimal() and int(given)):
                raise ConfigError(f"--sample {given} is not allowed; it must be a whole number >= 1, or all")
            sample = None if given == "all" else int(given)
        elif sweep is not None or word.startswith("-") or "=" in word:
            raise ConfigError(
                f"verify {word} is not understood; allowed: verify [SWEEP] [--sample N|all] [runs_dir=…] "
                "[tracking.uri=…] [tracking.experiment=…] [data.root=…]"
            )
        else:
            sweep = word
    verify_sweep(sweep or "latest", _settings(settings), sample)


def bench(words: Sequence[str]) -> None:
    """Time bnbench on this machine beside the usual way and a hand-written loop."""
    from bnbench.bench.command import bench as run

    run(words)


def _settings(words: Sequence[str]) -> Config:
    from bnbench.api import compose_one

    return compose_one([word for word in words if "=" in word])
