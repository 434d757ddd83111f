"""The verdicts of bnbench's authors, which ship with it and are shown beside the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import yaml

from bnbench.claims.claim import Claim, Verdict
from bnbench.claims.judgment import Judgment
from bnbench.config import ConfigError

_FILE = Path(__file__).with_name("ours.yaml")


@dataclass(frozen=True)
class Ours:
    """A verdict as the shipped file, or one that `claims --save` writes, keeps it.

    Attributes:
        verdict: The verdict.
        exploratory: Whether the claim was written or changed after the runs.
        evidence: What the verdict rests on, in a sentence.
        sweep: `<name>-<id>` of the sweep that was judged.
        date: The month of the judgment, such as `2026-11`.
        hash: `Claim.hash` of the claim as it was judged.
        seeds: How many seeds its settings had, such as `10 to 64`; empty where it needs none.
        command: What runs its sweep again, after `python -m bnbench`; empty where it was judged before that was kept.
    """

    verdict: Verdict
    exploratory: bool
    evidence: str
    sweep: str
    date: str
    hash: str
    seeds: str = ""
    command: str = ""

    def said_of(self, claim: Claim) -> str:
        """The verdict, marked with `*` where it was exploratory or the claim has changed since."""
        mark = "*" if self.exploratory or self.hash != claim.hash else ""
        return f"{self.verdict}{mark}"


@cache
def load_ours() -> dict[str, Ours]:
    """The shipped verdicts by the claims' ids."""
    return _read(_FILE)


def verdicts(judgments: Sequence[Judgment], date: str) -> dict[str, Ours]:
    """The verdicts on those claims that were judged, by their ids; `date` is the month, such as `2026-11`."""
    return {
        judgment.claim.id: Ours(
            judgment.verdict,
            judgment.exploratory,
            judgment.evidence,
            judgment.sweep,
            date,
            judgment.claim.hash,
            judgment.seeds,
            f"claims {judgment.claim.id} --run {'settled' if judgment.looks else 'quick'}",
        )
        for judgment in judgments
        if judgment.sweep
    }


def write_verdicts(verdicts: Mapping[str, Ours], path: Path) -> None:
    """Write verdicts in the form of the shipped file; a file that is there keeps its verdicts on other claims."""
    standing = _read(path) if path.exists() else {}
    rows = {id: {**asdict(ours), "verdict": str(ours.verdict)} for id, ours in {**standing, **verdicts}.items()}
    text = yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(f"# Written by `python -m bnbench claims --save FILE`.\n{text}", encoding="utf-8")


def verdict_table(verdicts: Mapping[str, Ours], claims: Mapping[str, Claim]) -> str:
    """The verdicts on these claims as a table in Markdown."""
    rows = ["| claim | verdict | on | seeds | run again by `python -m bnbench …` | judged |", f"|{' --- |' * 6}"]
    for id, ours in verdicts.items():
        again = f"`{ours.command}`" if ours.command else ours.sweep
        cells = f"{id} {claims[id].title}", ours.said_of(claims[id]), ours.evidence, ours.seeds, again, ours.date
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def _read(path: Path) -> dict[str, Ours]:
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {id: Ours(**{**row, "verdict": Verdict(row["verdict"])}) for id, row in rows.items()}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} holds no verdicts as claims --save FILE writes them; name another file") from error
