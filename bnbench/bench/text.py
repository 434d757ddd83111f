"""The benchmark's tables as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnbench.bench.ratios import RATIOS

_Row = Mapping[str, Any]

_SIDES = {"lanes": "lanes", "torch": "torch", "jax": "jax", "hand": "handwritten", "usual": "usual"}
_OF_ROUNDS = "median (least-greatest) of the rounds"


def tables(report: _Row) -> str:
    """Everything that was measured, as aligned tables."""
    parts = [_machine(report)]
    if report["inner"] is not None:
        rows = report["inner"]
        parts += [
            _sides(report["left_out"]),
            _rates(rows, "rates", f"trial-steps per second of processor time, {_OF_ROUNDS}"),
            _rates(rows, "wall_rates", f"trial-steps per second of wall time, {_OF_ROUNDS}"),
            _ratios(rows),
            _operations(rows),
        ]
    if report["norms"] is not None:
        parts += [_folded(report["norms"]["folded"]), _batch_norm(report["norms"]["batch_norm"])]
    if report["gpu"] is not None:
        parts.append(_gpu(report["gpu"]))
    if report["tracking"] is not None:
        parts.append(_tracking(report["tracking"]))
    if report["sweep"] is not None:
        parts.append(_sweep(report["sweep"]))
    return "\n\n".join("\n".join(lines) for lines in parts)


def _machine(report: _Row) -> Iterator[str]:
    machine, versions = report["machine"], report["versions"]
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_before']:.2f} before the start; "
        f"torch {versions['torch']}, bnbench {versions['bnbench']}; {report['rounds']} rounds, "
        f"{report['seconds'] / 60:.1f} min"
    )
    if machine["busy"]:
        yield "THE MACHINE WAS BUSY before the start: do not trust what is by wall time, and the rest less"


def _rates(rows: Sequence[_Row], key: str, title: str) -> Iterator[str]:
    yield title
    cells = [("workload", *_SIDES, "K")]
    for row in rows:
        rates = (_spread(row[key].get(side), ",.0f") for side in _SIDES.values())
        cells.append((row["workload"], *rates, str(row["sides"]["torch"]["width"])))
    yield from aligned(cells)


def _sides(left_out: Sequence[str]) -> Iterator[str]:
    yield "the sides, each a process of its own on one thread, in turns"
    yield "  lanes: 16 trials in bnbench's kernels; torch: torch's packs of K trials"
    yield "  jax: 16 trials by vmap and lax.scan; hand: plain PyTorch; usual: Lightning, DataLoader, PIL, MLFlowLogger"
    yield from (f"  {line}" for line in left_out)


def _ratios(rows: Sequence[_Row]) -> Iterator[str]:
    yield "bnbench by the others, by processor time, median (least-greatest) of the rounds' ratios"
    keys = [f"{over}/{under}" for over, under in RATIOS]
    cells = [("workload", *(key.replace("written", "") for key in keys))]
    cells += [(row["workload"], *(_spread(row["ratios"].get(key), ".2f") for key in keys)) for row in rows]
    yield from aligned(cells)


def _operations(rows: Sequence[_Row]) -> Iterator[str]:
    yield "lanes: operations of the steps' products, beside the core's peak, in multiply-adds that wait for nothing"
    cells = [("workload", "GFLOP/s", "peak", "share of it")]
    for row in rows:
        if "lanes" in row["rates"]:
            speeds = (_spread(row[key], ".1f", 1e-9) for key in ("operations", "peak_operations"))
            cells.append((row["workload"], *speeds, _spread(row["share_of_peak"], ".0%")))
    yield from aligned(cells)


def _folded(norms: Sequence[_Row]) -> Iterator[str]:
    yield "norms, forward and backward in microseconds: one fold of 8 trials against 8 layers alone"
    rows = [("norm", "input", "fold of 8", "8 alone", "alone/fold")]
    for row in norms:
        if "folded" in row:
            values = (_spread(row["folded"], ".0f"), _spread(row["lone"], ".0f"), _spread(row["lone/folded"], ".2f"))
            rows.append((row["norm"], row["case"], *values))
    yield from aligned(rows, words=2)


def _batch_norm(norms: Sequence[_Row]) -> Iterator[str]:
    yield "batch norm folded for 8 trials against torch.native_batch_norm on the same tensor, in microseconds"
    yield "  rows: torch's own on a 2-D input turned beforehand to (1, channels, examples), where it is faster"
    rows = [("input a trial", "bnbench", "torch", "rows", "bnbench/torch", "bnbench/rows")]
    for row in norms:
        times = (_spread(row.get(side), ".0f") for side in ("bnbench", "torch", "rows"))
        ratios = (_spread(row.get(f"bnbench/{other}"), ".2f") for other in ("torch", "rows"))
        rows.append((row["case"], *times, *ratios))
    yield from aligned(rows)


def _gpu(gpu: _Row) -> Iterator[str]:
    yield f"trial-steps per second of wall time on {gpu['card']}: a pack of K trials, and the same one after another"
    rows = [("workload", "K", "pack", "lone", "pack/lone")]
    for row in gpu["packs"]:
        rates = (f"{row[side]:,.0f}" for side in ("pack", "lone"))
        rows.append((row["workload"], str(row["width"]), *rates, f"{row['ratio']:.1f}"))
    yield from aligned(rows)


def _tracking(tracking: _Row) -> Iterator[str]:
    yield f"tracking: {tracking['trials']:,} trials x {tracking['points']} points x 6 metrics in a SQLite file"
    yield (
        f"  recorded, in packs of 16: {tracking['record_ms']:.1f} ms a trial, {tracking['record_processor_ms']:.1f} ms "
        "of them processor time"
    )
    read, report = tracking["read_seconds"], tracking["report_seconds"]
    yield f"  read back into one table in {read:.1f} s, and its report made in {report:.1f} s"


def _sweep(sweep: _Row) -> Iterator[str]:
    yield f"+sweep={sweep['sweep']}: {sweep['trials']} trials, {sweep['trial_steps']:,} trial-steps, from a cold start"
    yield f"  bnbench, measured: {sweep['seconds']:.0f} s"
    yield (
        f"  the usual way, ESTIMATED from its rates on these trials' steps and evaluations: "
        f"{sweep['usual_seconds_estimated']:.0f} s, {sweep['usual/bnbench_estimated']:.1f} times as long"
    )


def _spread(spread: _Row | None, form: str, unit: float = 1.0) -> str:
    """A spread as `median (least-greatest)`; a dash for what was not measured."""
    if spread is None:
        return "-"
    middle, low, high = (format(spread[key] * unit, form) for key in ("median", "low", "high"))
    return middle if len(spread["values"]) == 1 else f"{middle} ({low}-{high})"


def aligned(rows: Sequence[Sequence[str]], words: int = 1) -> Iterator[str]:
    """Rows as lines of text: the first `words` columns are aligned left, the others right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            f"{cell:<{width}}" if place < words else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  " + "  ".join(cells).rstrip()
