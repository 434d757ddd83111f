"""`python -m bnbench ui`: the MLflow UI, opened on a sweep's charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.config import Config, ConfigError
from bnbench.verbs.settings import settings_of

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Serve the MLflow UI on this machine until Ctrl-C, and say where a sweep's charts are."""
    import argparse

    from bnbench.tracking.server import serve_ui

    parser = argparse.ArgumentParser(
        prog="python -m bnbench ui",
        usage="%(prog)s [SWEEP] [options] [runs_dir=…] [tracking.uri=…] [tracking.experiment=…]",
        description="Serve the MLflow UI, and say where the charts of a sweep (default: latest) are.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--allowed-hosts", help="names that others may call this machine by: a.org:5000,b.org:5000")
    parser.add_argument("--open", action="store_true", help="open the charts in the browser")
    options, rest = parser.parse_known_args([*words])
    settings = [word for word in rest if word.startswith(("runs_dir=", "tracking."))]
    names = [word for word in rest if word not in settings]
    if len(names) > 1 or any(word.startswith("-") or "=" in word for word in names):
        raise ConfigError(f"ui {' '.join(names)} is not understood; allowed: {parser.format_usage().strip()[7:]}")
    config = settings_of(settings)
    runs_dir = Path(config.runs_dir).expanduser().absolute()
    serve_ui(
        config.tracking.uri,
        runs_dir=runs_dir,
        charts=_charts(config, runs_dir, *names),
        host=options.host,
        port=options.port,
        allowed_hosts=options.allowed_hosts,
        open_browser=options.open,
    )


def _charts(config: Config, runs_dir: Path, sweep: str = "latest") -> str:
    from bnbench.tracking.store import Store

    store = Store.open(config.tracking.uri, runs_dir=runs_dir, experiment=config.tracking.experiment, create=False)
    return store.charts(sweep)
