"""bnbench before torch, in every test process: it says how MKL is to round."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import bnbench  # noqa: F401

for _name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):  # no test records where somebody else does
    os.environ.pop(_name, None)


@pytest.fixture(autouse=True)
def _no_tracking_uri_of_another_test() -> Iterator[None]:
    """Lightning's MLFlowLogger, which the usual way of the benchmark logs with, sets MLflow's address process-wide."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


_RAY = """
import sys
from ray.cluster_utils import Cluster

memory = {"object_store_memory": 80_000_000}
head = {**memory, "num_cpus": int(sys.argv[1]), "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
nodes = [cluster.add_node(num_cpus=1, **memory) for _ in range(2)]
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(nodes[int(line)], allow_graceful=False)
    nodes[int(line)] = cluster.add_node(num_cpus=1, **memory)
    print("begun anew", flush=True)
cluster.shutdown()
"""


@pytest.fixture
def begin_ray() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Begins Ray on a head and two nodes of one CPU each, which have a new folder as home and none of our variables.

    Given are that folder, the CPUs of the head, and perhaps a command that runs it. Returned are the process, which
    ends a node at once and begins another when it reads 0 or 1, and HOST:PORT of the head. It ends with the test.
    """
    pytest.importorskip("ray")
    begun: list[subprocess.Popen[str]] = []

    def begin(home: Path, *, head_cpus: int, around: Sequence[str] = ()) -> tuple[subprocess.Popen[str], str]:
        home.mkdir()
        with (home / "log").open("w") as log:
            process = subprocess.Popen(
                [*around, sys.executable, "-c", _RAY, str(head_cpus)],
                env={"PATH": os.environ["PATH"], "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0"},
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        begun.append(process)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"[\d.]+:\d+", address), (home / "log").read_text()
        return process, address

    yield begin
    for process in begun:
        with process:
            pass  # the end of its input ends it
