"""How two sweeps differ as wholes: in fixed params, images, versions, hardware, code and seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bnbench.analysis import SweepTable
from bnbench.analysis.two_sweeps import unlike_params
from bnbench.report.number_words import listing, text


def unlike(a: SweepTable, b: SweepTable) -> Iterator[str]:
    """What differs between two sweeps besides what they compare, one line for each point.

    Any of these may be why their results differ.
    """
    for key, (left, right) in unlike_params(a, b).items():
        yield f"{key} is {_words(left)} in the first and {_words(right)} in the second."
    data_a, data_b = ({one.name: one.checksum for one in table.record.asked.data} for table in (a, b))
    for name in data_a.keys() & data_b.keys():
        if data_a[name] != data_b[name]:
            yield f"The images of {name} differ: checksum {data_a[name]} in the first, {data_b[name]} in the second."
    here, there = a.record.environment, b.record.environment
    for one, other, title in (
        (here.versions, there.versions, "Mixed versions"),
        (here.hardware, there.hardware, "Other hardware"),
    ):
        unlike = [
            f"{name} {one.get(name, 'unknown')} and {other.get(name, 'unknown')}"
            for name in dict.fromkeys([*one, *other])
            if one.get(name) != other.get(name)
        ]
        if unlike:
            yield f"{title}: {listing(unlike)}."
    commit_a, commit_b = (one.git.get("commit") for one in (here, there))
    if commit_a != commit_b:
        yield f"The code differs: commit {commit_a or 'unknown'} in the first, {commit_b or 'unknown'} in the second."
    seeds_a, seeds_b = ({*table.reporting["seed"]} for table in (a, b))
    if not seeds_a & seeds_b:
        yield "The sweeps share no seed, so nothing is paired: accuracies stand side by side, without a difference."


def _words(values: list[Any]) -> str:
    return listing([text(value) for value in values]) if values else "not set"
