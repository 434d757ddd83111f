"""The figures of the page on statistics, as Markdown: python tests/analysis/sequential/simulate.py [SWEEPS]

With the 10,000 sweeps of the page it takes about 10 minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import numpy as np
from rival_designs import SPENDING, by_t, by_z, confidence_sequence, empirical_bernstein_half_width
from scipy.stats import binom
from simulated_sweeps import (
    EQUIVALENT,
    KINDS,
    Family,
    Settled,
    draw,
    evidence_at,
    fixed_pairs,
    mixed_family,
    settle_all,
    simulate,
)

from bnbench.analysis.sequential import looks_up_to
from bnbench.analysis.sequential.boundaries import Boundary, boundaries, nominal_levels
from bnbench.analysis.sequential.estimate import estimate, stopped_interval
from bnbench.analysis.sequential.evidence import weigh

LOOKS = looks_up_to(64)
FEW_LOOKS = (10, 16, 24, 40, 64)
SIZES = (1, 3, 6)
DESIGNS = [
    *(("every 8", name, LOOKS, levels, weigh) for name, levels in SPENDING.items()),
    ("10, 16, 24, 40, 64", "gamma -4", FEW_LOOKS, nominal_levels, weigh),
    ("every 8", "gamma -4, plain t", LOOKS, nominal_levels, by_t),
    ("every 8", "confidence sequence, our tests", LOOKS, confidence_sequence, weigh),
    ("every 8", "confidence sequence, as published", LOOKS, confidence_sequence, by_z),
]


def no_effect(size: int) -> Family:
    """No difference anywhere."""
    return Family((0.0,) * size, (None,) * size)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def share(values: np.ndarray | float) -> str:
    """A share in per cent."""
    return f"{100 * float(np.mean(values)):.1f}"


def compare_designs(sweeps: int) -> Iterable[list[str]]:
    """Each design: false conclusions where there is no effect; power and pairs on the mixed family, against fixed."""
    sets = {}
    for name, family, kind in [
        *((f"none {kind}", no_effect(6), kind) for kind in ("normal", "skewed")),
        *((f"mixed {size}", mixed_family(size), "normal") for size in (3, 6)),
    ]:
        sets[name] = (family, family.draw(kind, sweeps // 2, LOOKS[-1], np.random.default_rng(len(sets))))
    for when, name, looks, levels, test in DESIGNS:
        found = {
            key: settle_all(evidence_at(differences, family.margins, looks, test), looks, levels)
            for key, (family, differences) in sets.items()
        }
        row = [when, name, *(share(found[f"none {kind}"].false(no_effect(6))) for kind in ("normal", "skewed"))]
        for size in (3, 6):
            family, settled = mixed_family(size), found[f"mixed {size}"]
            alone = fixed_pairs(family, sets[f"mixed {size}"][1], settled.right(family), by_t)
            row += [share(settled.right(family)), f"{settled.pairs.mean():.1f}", f"{settled.pairs.mean() / alone:.2f}"]
        yield row


def false_conclusions(sweeps: int) -> Iterable[list[str]]:
    """The share of sweeps that conclude anything false: without effects, with effects as large as the margin, both."""
    for kind in KINDS:
        row = [kind]
        for seed, size in enumerate(SIZES):
            at_margin = Family((0.5,) * size, (0.5,) * size)
            half = Family(tuple([0.0, 0.5] * 3)[:size], tuple([None, 0.5] * 3)[:size])
            for family in (no_effect(size), at_margin, *([half] if size > 1 else [])):
                found = simulate(family, kind, LOOKS, sweeps, seed)[1]
                row.append(
                    share(found.false(family) if family is not at_margin else (found.state == EQUIVALENT).any(1))
                )
        yield row


def mixed_families(sweeps: int) -> Iterable[list[str]]:
    """What each third of a mixed family takes, and what a sweep that looks once takes for as much power."""
    for size in (3, 6):
        for for_all in (False, True):
            family = mixed_family(size, margin_for_all=for_all)
            differences, found = simulate(family, "normal", LOOKS, sweeps, size)
            alone = [fixed_pairs(family, differences, found.right(family), test) for test in (weigh, by_t)]
            thirds = [slice(i, None, 3) for i in range(3)]
            yield [
                f"{size}, margin {'for all' if for_all else 'for the first third'}",
                " / ".join(share(found.state[:, third] == family.truth[third]) for third in thirds),
                " / ".join(f"{found.pairs[:, third].mean():.1f}" for third in thirds),
                *(f"{n:.1f}" for n in alone),
                f"{found.pairs.mean() / alone[0]:.2f} / {found.pairs.mean() / alone[1]:.2f}",
                f"{found.pairs[:, thirds[2]].mean() / alone[1]:.2f}",
            ]


def estimates(sweeps: int) -> Iterable[list[str]]:
    """Bias of the plain mean and of the estimate, and coverage of a plain t interval and of the one reported."""
    from scipy.stats import t

    side = boundaries(0.05, LOOKS)[-1].side
    for kind in KINDS:
        for effect, margin in [(0.0, 0.5), (0.3, None), (0.8, None), (1.5, None), (1.5, 0.5)]:
            family = Family((effect,) * 3, (margin,) * 3)
            differences, found = simulate(family, kind, LOOKS, sweeps // 6, 5)
            unstopped, plain, told, half, bounds = [], [], [], [], []
            for sweep, contrast in np.ndindex(found.state.shape):
                d, look = differences[sweep, contrast], found.look[sweep, contrast]
                seen, n = d[: LOOKS[look]], LOOKS[look]
                plain.append(seen.mean())
                unstopped.append(d.mean())
                told.append(estimate(seen, margin, passed(found, sweep, contrast), orders=100))
                half.append(t.isf(0.025, n - 1) * seen.std(ddof=1) / np.sqrt(n))
                bounds.append(stopped_interval(seen, side) or (seen.mean(), seen.mean()))
            low, high = np.array(bounds).T
            error = [np.array(values) - np.array(unstopped) for values in (plain, told)]  # all 64 pairs have no bias
            widths = (high - low).mean() / (2 * np.mean(half))
            yield [
                kind,
                f"{effect:g}" + (f", margin {margin:g}" if margin else ""),
                *(f"{e.mean():+.4f}" + (f" ({100 * e.mean() / effect:+.1f} %)" if effect else "") for e in error),
                f"{error[1].std() / np.sqrt(error[1].size):.4f}",
                share(np.abs(np.array(plain) - effect) <= half),
                share((low <= effect) & (effect <= high)),
                f"{widths:.2f}",
            ]


def passed(found: Settled, sweep: int, contrast: int) -> list[Boundary]:
    """The boundaries that a contrast was held against before the look that was its last."""
    rivals = found.rivals[sweep, contrast, : found.look[sweep, contrast]]
    return [boundaries(0.05 / n, LOOKS)[k] for k, n in enumerate(rivals.tolist())]


def failures(sweeps: int) -> Iterable[list[str]]:
    """How often two arms that fail equally often, and do not differ, are told apart by their successes or otherwise."""
    generator = np.random.default_rng(6)
    held = boundaries(0.05, LOOKS)
    for rate in (0.005, 0.02, 0.1, 0.3, 0.5):
        a, b = generator.random((2, sweeps, LOOKS[-1])) >= rate
        differences = draw("normal", (sweeps, LOOKS[-1]), generator)
        said = np.zeros(sweeps, dtype=int)
        for boundary in held:
            seen_a, seen_b = a[:, : boundary.pairs], b[:, : boundary.pairs]
            failed = ~(seen_a & seen_b).all(1)
            only_a, only_b = (seen_a & ~seen_b).sum(1), (seen_b & ~seen_a).sum(1)
            p = np.minimum(1, 2 * binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5))
            differ = weigh(differences[:, : boundary.pairs], None).differs(boundary)
            new = np.where(failed, 2 * (p <= 2 * boundary.side), 1 * differ)
            said = np.where(said == 0, new, said)
        yield [f"{100 * rate:g}", share(said == 2), share(said == 1)]


def raised_caps(sweeps: int) -> Iterable[list[str]]:
    """False conclusions where a cap of 64 is raised, once all its looks were taken and something is open."""
    for size in SIZES:
        differences = draw("normal", (sweeps // 2, size, 250), np.random.default_rng(7))
        ever = np.zeros(len(differences), dtype=bool)
        row = [str(size)]
        for cap in (64, 128, 250):
            looks = looks_up_to(cap)
            ever |= settle_all(evidence_at(differences, (None,) * size, looks), looks).false(no_effect(size))
            row.append(share(ever))
        yield row


def shared_arms(sweeps: int) -> Iterable[list[str]]:
    """The three contrasts of three arms: trials trained, against a sweep that looks once, and false conclusions."""
    pairs_of = [(0, 1), (0, 2), (1, 2)]
    noise = draw("normal", (sweeps // 2, 3, 64), np.random.default_rng(8)) / np.sqrt(2)
    for name, means, margin in [
        ("no effect", (0.0, 0.0, 0.0), None),
        ("two equal, one far, margin .5", (0.0, 0.0, -1.5), 0.5),
        ("one by .3, one far", (0.3, 0.0, -1.5), None),
    ]:
        arms = noise + np.array(means)[:, None]
        differences = np.stack([arms[:, a] - arms[:, b] for a, b in pairs_of], axis=1)
        family = Family(tuple(round(means[a] - means[b], 9) for a, b in pairs_of), (margin,) * 3)
        found = settle_all(evidence_at(differences, family.margins, LOOKS), LOOKS)
        trials = [
            np.maximum(*(found.pairs[:, i] for i, pair in enumerate(pairs_of) if arm in pair)) for arm in range(3)
        ]
        right = found.right(family)
        row = [name, share(found.false(family)), f"{np.sum(trials, axis=0).mean():.0f}"]
        if not family.truth.any():
            yield [*row, "", ""]
            continue
        yield [*row, share(right), f"{3 * fixed_pairs(family, differences, right, by_t):.0f}"]


def main() -> None:
    """Print each table as it is done."""
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    mixed = ["settled, %", "pairs", "of fixed"]
    heads = {
        compare_designs: ["looks", "level spent", "false, normal", "false, skewed", *mixed, *mixed],
        mixed_families: ["family", "settled, %", "pairs", "fixed, same tests", "fixed, t", "share", "share, large"],
        false_conclusions: ["differences", "1: none", "1: at margin"]
        + [f"{size}: {name}" for size in (3, 6) for name in ("none", "at margin", "both")],
        estimates: ["differences", "effect", "plain mean", "estimate", "s.e.", "t covers", "interval covers", "wider"],
        failures: ["trials failing, %", "told apart by successes, %", "by differences, %"],
        raised_caps: ["family", "cap 64", "raised to 128", "and to 250"],
        shared_arms: ["arms", "false, %", "trials", "settled, %", "trials, fixed, t"],
    }
    for figures, head in heads.items():
        print(f"\n{figures.__doc__}\n\n{table(head, figures(sweeps))}", flush=True)
    widths = ", ".join(f"{100 * empirical_bernstein_half_width(sd / 100, 64):.0f}" for sd in (0.3, 6))
    print(f"\nEmpirical Bernstein at 64 pairs, in percentage points either way: {widths} (sd .3 and 6 pp)")


if __name__ == "__main__":
    main()
