"""`python -m bnbench ui`: the MLflow UI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.verbs.settings import settings_of

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Serve the MLflow UI on this machine until Ctrl-C."""
    import argparse

    from bnbench.tracking.server import serve_ui

    parser = argparse.ArgumentParser(prog="python -m bnbench ui", description="Serve the MLflow UI.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    options, rest = parser.parse_known_args([*words])
    config = settings_of(rest)
    runs_dir = Path(config.runs_dir).expanduser().absolute()
    serve_ui(
        config.tracking.uri,
        runs_dir=runs_dir,
        host=options.host,
        port=options.port,
        open_browser=options.open,
    )
