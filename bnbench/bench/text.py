"""The benchmark's tables as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnbench.bench.shares import PARTS

__all__ = ["aligned", "tables"]

_Row = Mapping[str, Any]


def tables(report: _Row) -> str:
    """Everything that was measured, as aligned tables."""
    parts = [_machine(report)]
    if report["ratios"] is not None:
        parts += [_rates(report), _ratios(report["ratios"])]
    if report["widths"] is not None:
        parts.append(_widths(report["widths"]))
    if report["shares"] is not None:
        parts.append(_shares(report))
    if report["norms"] is not None:
        parts += [_folded(report["norms"]["folded"]), _batch_norm(report["norms"]["batch_norm"])]
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
        yield "THE MACHINE WAS BUSY before the start: do not trust the ratios; sides of several threads suffer most"
    if report["start"] is not None:
        yield f"a cold start, to the report of a sweep of one step: {report['start']['cold_seconds']:.1f} s"


def _rates(report: _Row) -> Iterator[str]:
    yield "trial-steps per second, median (least-greatest) of the rounds"
    yield "  usual: Lightning, DataLoader, PIL transforms, MLFlowLogger; hand: plain PyTorch, * one thread a core"
    yield "  inner: the packed step alone; sweep: whole sweeps by bnbench.run, less their fixed seconds (warm)"
    rows = [("workload", "K", "usual", "hand", "inner", "sweep", "fixed s")]
    for row in report["ratios"]:
        rates = row["rates"]
        processes = rates["handwritten"] == rates["handwritten_processes"]
        rows.append(
            (
                row["workload"],
                str(row["width"]),
                _rate(rates["usual"]),
                _rate(rates["handwritten"]) + ("*" if processes else " "),
                _rate(rates["inner"]),
                _rate(rates.get("sweep")),
                _spread(row.get("fixed_seconds"), ".1f"),
            )
        )
    yield from aligned(rows)


def _ratios(ratios: Sequence[_Row]) -> Iterator[str]:
    yield "bnbench by the others, median (least-greatest) of the rounds' ratios"
    keys = ("inner/usual", "inner/handwritten", "sweep/usual", "sweep/handwritten")
    rows = [("workload", *(key.replace("written", "") for key in keys))]
    rows += [(row["workload"], *(_spread(row["ratios"][key], ".2f") for key in keys)) for row in ratios]
    yield from aligned(rows)


def _widths(widths: Sequence[_Row]) -> Iterator[str]:
    yield "the inner step's trial-steps per second, by K trials in each core's pack"
    names = [*widths[0]["rates"]] if widths else []
    yield from aligned(
        [
            ("workload", *(f"K={name}" for name in names)),
            *((row["workload"], *(f"{row['rates'][name]:,.0f}" for name in names)) for row in widths),
        ]
    )


def _shares(report: _Row) -> Iterator[str]:
    yield "where the time of a trial of 1,000 steps goes, in % of its core time, microseconds a step"
    yield "  covered: steps and evaluations, as part of a whole sweep's core time"
    yield (
        "  of product: useful multiply-adds of the inner step by those of a 512 x 512 x 512 product, "
        f"{report['product_rate'] / 1e9:.1f} G/s a core"
    )
    rows = [("workload", "us", *PARTS, "covered", "of product")]
    for row in report["shares"]:
        shares = (f"{100 * row['shares'][part]:.1f}" for part in PARTS)
        covered = "-" if row["covered"] is None else f"{100 * row['covered']:.0f} %"
        ends = (covered, f"{100 * row['of_product_rate']:.1f} %")
        rows.append((row["workload"], f"{1e6 * row['seconds']:,.0f}", *shares, *ends))
    yield from aligned(rows)


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


def _rate(spread: _Row | None) -> str:
    return _spread(spread, ",.0f")


def _spread(spread: _Row | None, form: str) -> str:
    """Median (least-greatest); a dash for what was not measured, or was too short to tell."""
    if spread is None:
        return "-"
    middle, low, high = (format(spread[key], form) for key in ("median", "low", "high"))
    return middle if len(spread["values"]) == 1 else f"{middle} ({low}-{high})"


def aligned(rows: Sequence[Sequence[str]], words: int = 1) -> Iterator[str]:
    """Rows as aligned text: the first `words` columns to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            f"{cell:<{width}}" if place < words else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  " + "  ".join(cells).rstrip()
