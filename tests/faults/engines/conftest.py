"""Slurm and Ray for real, on this machine: clusters of two nodes, which tests kill and start again.

Each node has a table of processes and a name of its own, so that ending its first process ends all of it, as where the
power is cut, and nothing that runs elsewhere can be looked up by its id.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

FreePort = Callable[[], int]
BeginRay = Callable[..., tuple[subprocess.Popen[str], str]]

_NODE = (
    "unshare",
    "--uts",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-c",
    'hostname "$0" && exec "$@"',
)
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo", "scontrol")

# A queue that forgets a job after two seconds, and a controller that misses a node after ten.
_CONFIGURATION = """
ClusterName=bnbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
MinJobAge=2
SlurmdTimeout=10
UnkillableStepTimeout=5
{nodes}
PartitionName=main Nodes=n1,n2 Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes=n1,n2 State=UP PriorityTier=2
"""


class Cluster(ABC):
    """What both engines offer to tests that end parts of them.

    Attributes:
        words: What a sweep is told, to be trained there.
        environment: What its commands find it by.
        nodes: Names of its two nodes, of one processor each.
        mark: A variable that its nodes' processes have, and no others.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str]
    nodes: tuple[str, ...] = ("n1", "n2")
    mark: str

    @abstractmethod
    def end_and_start_node(self, node: str) -> None:
        """End all that runs on a node, at once, and start it, or another in its place."""

    @abstractmethod
    def end_job(self, draw: random.Random) -> bool:
        """End one of the engine's own processes or jobs that has a trainer; whether there was one."""

    def trainers(self) -> list[int]:
        """The interpreters that train packs sent to them, on whichever node."""
        return self.processes(b"bnbench.sweep.remote")

    def end_trainer(self, draw: random.Random) -> bool:
        """End one of them; whether there was one."""
        trainers = self.trainers()
        if trainers:
            kill(draw.choice(trainers))
        return bool(trainers)

    def processes(self, word: bytes) -> list[int]:
        """Those of its nodes' processes with a word in their command that are not dead."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    command, stat = (entry / "cmdline").read_bytes(), (entry / "stat").read_text()
                    variables = (entry / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                is_alive = stat.rpartition(")")[2].split()[0] not in "ZX"
                if is_alive and word in command and self.mark.encode() in variables:
                    found.append(int(entry.name))
        return found


class Slurm(Cluster):
    """A controller and two nodes.

    Attributes:
        log: What the controller logs.
    """

    words = ("hydra/launcher=slurm", "hydra.launcher.partition=main", "hydra.launcher.workers=2")

    def __init__(self, folder: Path, free_port: FreePort) -> None:
        self._folder = folder
        self.log = folder / "slurmctld.log"
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self.mark = f"SLURM_CONF={folder / 'slurm.conf'}"
        self._ports = {node: free_port() for node in self.nodes}
        self._controller_port = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        key = self._folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"socket": "munge", "key-file": "key", "pid-file": "munged.pid", "log-file": "munged.log"}
        own = [f"--{option}={self._folder}/{name}" for option, name in (files | {"seed-file": "seed"}).items()]
        self._begin("munged", ["munged", "--foreground", "--force", *own])
        lines = [
            f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.1 Port={port} CPUs=1"
            for node, port in self._ports.items()
        ]
        text = _CONFIGURATION.format(
            host=socket.gethostname(), port=self._controller_port, folder=self._folder, nodes="\n".join(lines)
        )
        (self._folder / "slurm.conf").write_text(text)
        (self._folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        (self._folder / "state").mkdir()
        wait_until((self._folder / "munge").exists)
        self._begin("slurmctld", ["slurmctld", "-D"])
        for node in self.nodes:
            self.start_node(node)

    def start_node(self, node: str) -> None:
        """Start a node, and wait until it takes jobs."""
        self._begin(node, [*_NODE, node, "slurmd", "-D", "-N", node])
        wait_until(lambda: self._state(node) in ("idle", "mixed", "allocated"), 60)

    def end_node(self, node: str) -> None:
        """End all that runs on a node, at once."""
        self._processes.pop(node).kill()

    def end_and_start_node(self, node: str) -> None:
        self.end_node(node)
        self.start_node(node)

    def end_job(self, draw: random.Random) -> bool:
        jobs = self.jobs("RUNNING")
        if jobs:
            self.ask("scancel", draw.choice(jobs))
        return bool(jobs)

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait()

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        return done.stdout

    def jobs(self, state: str | None = None) -> list[str]:
        """The jobs in the queue, or those of them in a state such as RUNNING."""
        only = [f"--states={state}"] if state else []
        return self.ask("squeue", "--noheader", "--array", "--format=%i", *only).split()

    def _begin(self, name: str, command: list[str]) -> None:
        with (self._folder / f"{name}.out").open("w") as out:
            environment = {**os.environ, **self.environment}
            self._processes[name] = subprocess.Popen(command, stdout=out, stderr=out, env=environment)

    def _state(self, node: str) -> str:
        return self.ask("sinfo", "--noheader", f"--nodes={node}", "--partition=main", "--format=%t").strip()


class Ray(Cluster):
    """A head, which trains nothing, and two nodes, without our environment."""

    environment: Mapping[str, str] = {}

    def __init__(self, home: Path, process: subprocess.Popen[str], address: str) -> None:
        self.mark = f"HOME={home}"
        self._process = process
        self.words = ("hydra/launcher=ray", f"hydra.launcher.address={address}")

    def end_job(self, draw: random.Random) -> bool:
        workers = self.processes(b"ray::train_here")
        if workers:
            kill(draw.choice(workers))
        return bool(workers)

    def end_and_start_node(self, node: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self.nodes.index(node)}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == "begun anew"


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="session")
def may_play_hosts() -> None:
    """Skips where this account may not make namespaces, in which hosts are played."""
    if os.getuid() != 0 or subprocess.run([*_NODE, "n1", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this account may not make a namespace, in which a host is played")


@pytest.fixture
def slurm(free_port: FreePort, may_play_hosts: None) -> Iterator[Slurm]:
    """Slurm with an empty queue."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed (Debian: apt-get install slurmctld slurmd munge)")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # not pytest's: the path of a socket must be short
    folder.chmod(0o755)
    cluster = Slurm(folder, free_port)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture
def ray(begin_ray: BeginRay, tmp_path: Path) -> Ray:
    """Ray with nothing to do."""
    home = tmp_path / "ray"
    return Ray(home, *begin_ray(home, head_cpus=0))


@pytest.fixture(params=["slurm", "ray"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Either engine."""
    engine: Cluster = request.getfixturevalue(request.param)
    return engine
