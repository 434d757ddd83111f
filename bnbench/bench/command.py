"""The command `bench`: parse its words, measure one section after another, print the tables."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from joblib import cpu_count

from bnbench.bench.options import SECTIONS, Options, parse
from bnbench.bench.ratios import measure_ratios, prepare
from bnbench.bench.sides import SideError, Sides
from bnbench.bench.sweep_time import time_whole_sweep
from bnbench.bench.taking_part import taking_part, why_no_jax, why_no_lanes
from bnbench.bench.text import tables
from bnbench.bench.workloads import Workload
from bnbench.config import environment
from bnbench.tensors.device import has_gpu

_BUSY_LOAD = 0.5  # load average before the start above which the machine counts as busy
_CURVE_POINTS = 100  # points of each recorded curve


def bench(words: Sequence[str]) -> None:
    """Measure what the words ask for and print it; exits 1 if a timed process fails, 130 on Ctrl-C.

    Raises:
        ConfigError: If a word is not understood; the message is one line.
    """
    options = parse(words)
    try:
        report = measure(options)
    except SideError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; nothing is kept", file=sys.stderr)
        sys.exit(130)
    print(json.dumps(report, indent=1) if options.json else tables(report))


def measure(options: Options) -> dict[str, Any]:
    """Measure everything the options ask for, as JSON values; a section that was not asked for is None.

    All files go to a temporary folder, which is removed afterwards.
    """
    cores = int(cpu_count())
    load = os.getloadavg()
    started = time.monotonic()
    with (
        TemporaryDirectory(prefix="bnbench-bench-", ignore_cleanup_errors=True) as name,
        Sides(Path(name)) as sides,
    ):
        report = _Measurement(options, sides, Path(name)).run()
    report = {
        "machine": {**environment.hardware(), "cores": cores, "load_before": load[0], "busy": load[0] > _BUSY_LOAD},
        "versions": environment.versions(),
        "left_out": [why for why in (why_no_lanes(), why_no_jax()) if why],
        "rounds": options.rounds,
        **report,
        "seconds": time.monotonic() - started,
    }
    plain: dict[str, Any] = json.loads(json.dumps(report, default=asdict))
    return plain


class _Measurement:
    """One run of the benchmark, with what its sections share."""

    def __init__(self, options: Options, sides: Sides, folder: Path) -> None:
        self._options = options
        self._sides = sides
        self._folder = folder
        self._started = time.monotonic()

    def run(self) -> dict[str, Any]:
        options, sections = self._options, self._options.sections
        report: dict[str, Any] = dict.fromkeys([*SECTIONS, "sweep"])
        self._sides.start(*self._needed())  # all at once, while nothing is timed
        if "inner" in sections:
            report["inner"] = [self._workload(workload) for workload in options.workloads]
        if "norms" in sections:
            self._say("norms")
            report["norms"] = self._sides["torch"].call("norms", seconds=options.seconds / 30)
        if "gpu" in sections and has_gpu():
            self._say("gpu")
            report["gpu"] = self._sides["torch"].call("gpu", seconds=3 * options.seconds, folder=str(self._folder))
        if "tracking" in sections:
            self._say("tracking")
            report["tracking"] = self._recording()
        if options.sweep is not None:
            report["sweep"] = time_whole_sweep(options.sweep, self._sides, self._folder, options.seconds, self._say)
        return report

    def _needed(self) -> list[str]:
        """The names of the sides that the sections need."""
        of_torch = "norms" in self._options.sections or ("gpu" in self._options.sections and has_gpu())
        needed = {"torch": None} if of_torch else {}
        if "inner" in self._options.sections:
            for workload in self._options.workloads:
                needed |= dict.fromkeys(taking_part(workload))
        return [*needed]

    def _workload(self, workload: Workload) -> dict[str, Any]:
        self._say(workload.name)
        prepared = prepare(workload, self._sides, str(self._folder), measured_width=not self._options.quick)
        return measure_ratios(workload, prepared, self._sides, self._options)

    def _recording(self) -> dict[str, Any]:
        size = {"trials": self._options.recorded, "points": _CURVE_POINTS}
        return {**size, **self._sides["whole"].call("recording", **size, folder=str(self._folder / "recording"))}

    def _say(self, section: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        print(f"bench {minutes}:{seconds:02d}: {section}", file=sys.stderr, flush=True)
