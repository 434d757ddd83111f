"""`python -m bnbench ui`: the MLflow UI, opened on a sweep's charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.cli.parser import VerbParser
from bnbench.config import Config


def main(words: Sequence[str]) -> None:
    """Serve the MLflow UI on this machine until Ctrl-C, and say where a sweep's charts are."""
    from bnbench.tracking.server import serve_ui

    parser = VerbParser("ui", names="[SWEEP]")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=_port, default=5000, help="from 1 to 65535 (default: 5000)")
    parser.add_argument("--allowed-hosts", help="names that others may call this machine by: a.org:5000,b.org:5000")
    parser.add_argument("--open", action="store_true", help="open the charts in the browser")
    asked = parser.read(words)
    options, config, runs_dir = asked.options, asked.config, asked.runs_dir
    serve_ui(
        config.tracking.uri,
        runs_dir=runs_dir,
        charts=_charts(config, runs_dir, asked.sweep),
        host=options.host,
        port=options.port,
        allowed_hosts=options.allowed_hosts,
        open_browser=options.open,
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 2**16:
        raise ValueError(text)
    return port


def _charts(config: Config, runs_dir: Path, sweep: str) -> str:
    from bnbench.sweep.running.refresh_charts import renew_charts
    from bnbench.tracking.store import Store

    store = Store.open(config.tracking.uri, runs_dir=runs_dir, experiment=config.tracking.experiment, create=False)
    store.show_files_here()
    return renew_charts(store, store.load(sweep))
