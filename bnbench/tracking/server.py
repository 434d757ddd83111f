"""Shows the store in a browser: MLflow's own server, on this machine alone unless asked otherwise."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from bnbench.config.store_address import Address
from bnbench.tracking.errors import NothingRecordedError, TrackingError

_START_SECONDS = 90
_STOP_SECONDS = 10
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_LOOPBACK_HOSTS = ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[[]::1]:*")  # as patterns
_CALLED = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # who listens to every name, by one of them


def serve_ui(
    address: Address,
    charts: str,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    allowed_hosts: str | None = None,
    open_browser: bool = False,
) -> None:
    """Serve MLflow's UI until Ctrl-C; where the store is a server, say that it serves already.

    Args:
        address: The store's.
        charts: Where on the server the charts to look at are; see `Store.write_charts`.
        host: The address to listen on. There are no passwords: who reaches it can read, write and delete.
        port: The port to listen on.
        allowed_hosts: What other machines may call this one in their browsers, as MLflow takes it, beside the names
            that this machine has for itself.
        open_browser: Whether to open the charts.

    Raises:
        TrackingError: If there is nothing to show or the server does not start.
    """
    if address.is_server:
        print(f"MLflow is served already: {address.shown}\ncharts: {address.shown}/{charts}")
        if open_browser:
            webbrowser.open(f"{address.uri}/{charts}")
        return
    if host not in _LOOPBACK:
        print(
            f"--host {host} lets other machines read and delete everything, without a password. Browsers that call "
            "this machine by a name are refused: list it, with its port, in --allowed-hosts. To be safe leave --host "
            f"out, and reach it through `ssh -L {port}:127.0.0.1:{port}`",
            file=sys.stderr,
        )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with running_server(address, host=host, port=port, allowed_hosts=allowed_hosts) as (page, process):
            print(f"MLflow UI: {page}   (Ctrl-C ends it)\ncharts: {page}/{charts}", flush=True)
            if open_browser:
                webbrowser.open(f"{page}/{charts}")
            process.wait()
            raise TrackingError(f"mlflow server ended by itself with exit status {process.returncode}")
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running_server(
    address: Address, *, host: str, port: int, allowed_hosts: str | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server over a database, as its page and its process; ended with all its children afterwards.

    Raises:
        TrackingError: If there is no database, the port is taken, or the server does not start.
    """
    if address.database and not address.database.exists():
        raise NothingRecordedError(
            f"nothing is recorded in {address.database} yet; train something first, or set runs_dir"
        )
    _check_port(host, port)
    # The URI goes by the environment: a command line, with its password, can be read by everyone.
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": address.uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    allowed_hosts = allowed_hosts or environment.get("MLFLOW_SERVER_ALLOWED_HOSTS")
    name = f"[{host}]" if ":" in host else host
    if allowed_hosts:  # which replaces the list that MLflow would have
        environment["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join([allowed_hosts, *_LOOPBACK_HOSTS, f"{name}:{port}"])
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    if address.artifacts:
        command += ["--artifacts-destination", address.artifacts]
    page = f"http://{_CALLED.get(host, name)}:{port}{environment.get('MLFLOW_STATIC_PREFIX', '')}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_until_it_answers(page, process, log)
            yield page, process
        finally:
            _end(process)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise TrackingError(
                f"port={port} on host={host} cannot be used ({error.strerror}); give another port"
            ) from error


def _wait_until_it_answers(page: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise TrackingError(f"mlflow server did not start: {lines[-1]}")
        try:
            with urllib.request.urlopen(f"{page}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TrackingError(f"mlflow server did not answer on {page} within {_START_SECONDS} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and what it started: they are a session of their own."""
    for order in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, order)
        except ProcessLookupError:
            break
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
