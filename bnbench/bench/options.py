"""The options of `bench`, read from the words after it and checked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from bnbench.bench.workloads import DEFAULT, QUICK, WORKLOADS, Workload
from bnbench.config import ConfigError
from bnbench.config.folder import conf_dir

SECTIONS = {
    "inner": "the inner step of lanes and of torch's packs against JAX, a hand-written loop and the usual way",
    "norms": "each norm folded for 8 trials against 8 alone, and batch norm against torch's",
    "gpu": "where there is a GPU, wide packs on it against the same trials one after another",
    "tracking": "what it costs to record a trial, and to read 2,000 back and report them",
}


@dataclass(frozen=True)
class Options:
    """What to measure, and for how long.

    Attributes:
        sections: The sections to measure, keys of `SECTIONS`.
        workloads: The workloads, in the order of the tables.
        rounds: How often each side takes its turn.
        seconds: Length of one turn of one side.
        sweep: The name of the sweep to time as a whole, or None.
        recorded: Number of trials to record.
        quick: Whether this only shows that everything works.
        json: Whether to print one JSON object instead of tables.
    """

    sections: tuple[str, ...]
    workloads: tuple[Workload, ...]
    rounds: int
    seconds: float
    sweep: str | None
    recorded: int
    quick: bool
    json: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"bench: {message}; python -m bnbench bench --help says what is allowed")


def parse(words: Sequence[str]) -> Options:
    """The options that the command line's words ask for.

    Raises:
        ConfigError: If a word is not understood; the message is one line.
    """
    parser = _Parser(
        prog="python -m bnbench bench",
        description="Time bnbench on this machine beside the usual way (Lightning, DataLoader, MLFlowLogger), a "
        "hand-written PyTorch loop and, where it is installed, JAX. Leave the machine alone meanwhile; it takes some "
        "minutes.",
        epilog="sections: " + "; ".join(f"{name}, {what}" for name, what in SECTIONS.items()),
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--quick", action="store_true", help="does it work? one tiny network, too short to tell speeds")
    parser.add_argument("--only", metavar="SECTION,…", help="measure only these")
    parser.add_argument("--workload", metavar="NAME", nargs="+", action="extend", help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", metavar="N", type=int, help="turns of each side (default: 3)")
    parser.add_argument("--sweep", metavar="NAME", help="time this sweep, and estimate the usual way's time for it")
    arguments = parser.parse_args([*words])
    if arguments.rounds is not None and arguments.rounds < 1:
        raise ConfigError(f"bench --rounds {arguments.rounds} is not allowed; it must be a whole number >= 1")
    return Options(
        sections=_sections(arguments.only, arguments.sweep),
        workloads=_workloads(arguments.workload, arguments.quick),
        rounds=arguments.rounds or (1 if arguments.quick else 3),
        seconds=0.2 if arguments.quick else 1.0,
        sweep=_sweep(arguments.sweep),
        recorded=40 if arguments.quick else 2000,
        quick=arguments.quick,
        json=arguments.json,
    )


def _sections(only: str | None, sweep: str | None) -> tuple[str, ...]:
    if only is None:
        return () if sweep else (*SECTIONS,)
    names = dict.fromkeys(only.split(","))
    for name in names:
        if name not in SECTIONS:
            raise ConfigError(f"bench --only {name} is unknown; allowed: {', '.join(SECTIONS)}")
    return tuple(name for name in SECTIONS if name in names)


def _workloads(names: list[str] | None, quick: bool) -> tuple[Workload, ...]:
    if names is None:
        return (QUICK,) if quick else DEFAULT
    for name in names:
        if name not in WORKLOADS:
            raise ConfigError(f"bench --workload {name} is unknown; allowed: {', '.join(WORKLOADS)}")
    return tuple(WORKLOADS[name] for name in dict.fromkeys(names))


def _sweep(name: str | None) -> str | None:
    sweeps = sorted(file.stem for file in (conf_dir() / "sweep").glob("*.yaml"))
    if name is not None and name not in sweeps:
        raise ConfigError(f"bench --sweep {name} is unknown; allowed: {', '.join(sweeps)}")
    return name
