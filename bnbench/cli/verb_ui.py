"""`python -m bnbench ui`: the MLflow UI, opened on a sweep's charts."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import VerbParser


def main(words: Sequence[str]) -> None:
    """Serve the MLflow UI on this machine until Ctrl-C, and say where a sweep's charts are."""
    from bnbench.sweep.running.refresh_charts import renew_charts
    from bnbench.tracking import Store

    parser = VerbParser("ui", names="[SWEEP]")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=_port, default=5000, help="from 1 to 65535 (default: 5000)")
    parser.add_argument("--allowed-hosts", help="names that others may call this machine by: a.org:5000,b.org:5000")
    parser.add_argument("--open", action="store_true", help="open the charts in the browser")
    request = parser.read(words)
    options = request.options
    store = Store.open(request.workspace, create=False)
    store.show_files_here()
    store.serve_ui(
        renew_charts(store, store.load(request.sweep)),
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
