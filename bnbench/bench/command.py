"""The order of the benchmark: parse, measure section by section, print."""

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

from bnbench.bench.options import Options, parse
from bnbench.bench.ratios import Prepared, in_packs, measure_ratios, prepare
from bnbench.bench.shares import share_row
from bnbench.bench.sides import SideError, Sides
from bnbench.bench.sweep_time import time_sweep
from bnbench.bench.text import tables
from bnbench.bench.workloads import QUICK, Workload, pack_width
from bnbench.config.schema import DEFAULT_STEPS
from bnbench.tracking import environment

__all__ = ["bench", "measure"]

_BUSY_LOAD = 0.5
_WITHOUT_WORKLOADS = {"norms", "tracking"}
_POINTS = 100  # of a recorded curve


def bench(words: Sequence[str]) -> None:
    """Measure what the words ask for and print it; exits 1 if a timed process fails, 130 on Ctrl-C.

    Raises:
        ConfigError: If a word is not understood; one line.
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
    """Everything the options ask for, as JSON has it; a section that was not asked for is None.

    All that is written goes to a temporary folder, which is gone afterwards.
    """
    cores = int(cpu_count())
    load = os.getloadavg()
    started = time.monotonic()
    with (
        TemporaryDirectory(prefix="bnbench-bench-", ignore_cleanup_errors=True) as name,
        Sides(Path(name), cores) as sides,
    ):
        report = _Measurement(options, sides, Path(name), cores).run()
    report = {
        "machine": {**environment.hardware(), "cores": cores, "load_before": load[0], "busy": load[0] > _BUSY_LOAD},
        "versions": environment.versions(),
        "rounds": options.rounds,
        **report,
        "seconds": time.monotonic() - started,
    }
    made: dict[str, Any] = json.loads(json.dumps(report, default=asdict))
    return made


class _Measurement:
    """One run of the benchmark: what its sections share."""

    def __init__(self, options: Options, sides: Sides, folder: Path, cores: int) -> None:
        self._options = options
        self._sides = sides
        self._folder = folder
        self._cores = cores
        self._started = time.monotonic()

    def run(self) -> dict[str, Any]:
        options, sections = self._options, self._options.sections
        report: dict[str, Any] = dict.fromkeys(["start", "ratios", "widths", "shares", "norms", "tracking", "sweep"])
        if options.quick:  # the cold start is not told apart from theirs then
            self._sides.start(*self._needed())
        if {"ratios", "shares"} & {*sections}:
            report["start"] = {"cold_seconds": self._cold_start()}
        self._sides.start(*self._needed())  # all at once, while nothing is timed
        if "shares" in sections:
            report["product_rate"] = self._product_rate()
        for section in ("ratios", "widths", "shares"):
            report[section] = [] if section in sections or (section == "ratios" and "inner" in sections) else None
        for workload in options.workloads if {*sections} - _WITHOUT_WORKLOADS else ():
            self._workload(workload, report)
        if "norms" in sections:
            self._say("norms")
            report["norms"] = self._sides.packed.members[0].ask("norms", seconds=options.seconds / 30)
        if "tracking" in sections:
            self._say("tracking")
            report["tracking"] = self._recording()
        if options.sweep is not None:
            report["sweep"] = time_sweep(options.sweep, self._sides, self._folder, options.seconds, self._say)
        return report

    def _needed(self) -> list[str]:
        """The sides that the sections will ask."""
        sections = {*self._options.sections}
        peers = ["usual", "handwritten_threads", "handwritten_processes"] if sections & {"inner", "ratios"} else []
        if "shares" in sections:
            peers.append("handwritten_processes")
        return [*dict.fromkeys(peers), *(["packed"] if sections - {"tracking"} else [])]

    def _workload(self, workload: Workload, report: dict[str, Any]) -> None:
        options = self._options
        self._say(workload.name)
        peers, measured = report["ratios"] is not None, not options.quick
        prepared = prepare(workload, self._sides, str(self._folder), peers=peers, measured_width=measured)
        row: dict[str, Any] = {}
        if report["ratios"] is not None:
            row = measure_ratios(workload, prepared, self._sides, options, self._runs_dir, self._trials(prepared))
            report["ratios"].append(row)
        if report["shares"] is not None:
            report["shares"].append(self._shares(workload, prepared, row))
        if report["widths"] is not None:
            report["widths"].append({"workload": workload.name, "rates": self._widths(workload)})

    def _shares(self, workload: Workload, prepared: Prepared, ratios: dict[str, Any]) -> dict[str, Any]:
        """A row of the table of shares, with the ratios' sweeps where they were measured."""
        seconds, packed = self._options.seconds, self._sides.packed
        sweep_rate = None
        if "steps" in ratios:
            tracking, inner = ratios["tracking_seconds"].median, ratios["rates"]["inner"].median
            if ratios["rates"]["sweep"] is not None:
                sweep_rate = ratios["rates"]["sweep"].median
        else:
            inner = sum(process["rate"] for process in packed.ask("run", seconds=seconds))
            wanted = inner * self._options.sweep_seconds / self._trials(prepared)
            shape = self._sides.whole.ask("shape", overrides=in_packs(workload, prepared), steps=wanted)
            given = {"trials": self._trials(prepared), "folder": self._runs_dir}
            tracking = self._sides.whole.ask("sweep", **shape, **given)["tracking_seconds"]
        row = share_row(
            phases=packed.ask("phases", seconds=seconds),
            around=packed.ask("around", steps=DEFAULT_STEPS),
            tracking_seconds=tracking / self._trials(prepared),
            steps=DEFAULT_STEPS,
            multiply_adds=packed.members[0].ask("multiply_adds"),
            inner_rate=inner,
            sweep_rate=sweep_rate,
            product_rate=self._product,
            cores=self._cores,
        )
        return {"workload": workload.name, "width": prepared["inner"]["slots"], **row}

    def _widths(self, workload: Workload) -> dict[str, float]:
        """The inner step's rate by the number of trials in each core's pack."""
        rates = {}
        for width in self._options.widths:
            self._sides.packed.ask(
                "prepare", overrides=list(workload.overrides), folder=str(self._folder), width=width, first_seed=0
            )
            answers = self._sides.packed.ask("run", seconds=self._options.seconds / 2)
            rates[str(width)] = sum(process["rate"] for process in answers)
        return rates

    def _cold_start(self) -> float:
        """Seconds of a sweep of one step, from the start of its process: imports, store, workers, report."""
        self._say("a cold start")
        trials = self._cores * pack_width(QUICK.overrides)
        started = time.perf_counter()
        self._sides.whole.ask("sweep", overrides=list(QUICK.overrides), folder=self._runs_dir, trials=trials, steps=1)
        return time.perf_counter() - started

    def _recording(self) -> dict[str, Any]:
        size = {"trials": self._options.recorded, "points": _POINTS}
        return {**size, **self._sides.whole.ask("recording", **size, folder=str(self._folder / "recording"))}

    def _product_rate(self) -> float:
        self._product = float(self._sides.handwritten_processes.members[0].ask("product_rate", seconds=1.0))
        return self._product

    def _trials(self, prepared: Prepared) -> int:
        """Of a sweep: one full pack a core."""
        return self._cores * int(prepared["inner"]["width"])

    @property
    def _runs_dir(self) -> str:
        return str(self._folder / "runs")

    def _say(self, what: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        print(f"bench {minutes}:{seconds:02d}: {what}", file=sys.stderr, flush=True)
