"""`python -m bnbench findings`: what the recorded sweeps found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.cli.parser import VerbParser

if TYPE_CHECKING:
    from bnbench.record.sweep_table import SweepTable


def main(words: Sequence[str]) -> None:
    """Print the conclusion of every recorded sweep of a file, each by its own report's words.

    All trials that the file asks for must be recorded, in whatever sweeps, as for a claim's evidence.
    """
    from bnbench.cli.listing import questions
    from bnbench.cli.page_sections import renew_sections
    from bnbench.config.folder import conf_dir
    from bnbench.sweep.again.evidence import find_evidence
    from bnbench.tracking import Store

    parser = VerbParser("findings", names="[SWEEP …]")
    parser.add_argument("--save", metavar="FILE", type=Path, help="renew their sections of this page; others stay")
    request = parser.read(words)
    store = Store.open(request.workspace, create=False)
    asks = questions([conf_dir()], "sweep")
    recorded = {name for sweep in store.sweeps() for name in sweep.name.split("+")}
    sections = {}
    for name in request.names or [name for name in asks if name in recorded]:
        evidence = find_evidence(name, [], store)
        if evidence.table is None:
            how_many = f"{evidence.recorded:,} of {evidence.planned:,} trials of its file are recorded"
            print(f"{name} is left out: {how_many}", file=sys.stderr)
        else:
            sections[name] = _section(name, asks[name], evidence.sweeps, evidence.table)
    if request.options.save:
        renew_sections(request.options.save, sections)
        print(f"renewed in {request.options.save}: {', '.join(sections) or 'nothing'}")
    else:
        print("\n".join(f"## {name}\n\n{section}\n" for name, section in sections.items()))


def _section(name: str, question: str, sweeps: Sequence[str], table: SweepTable) -> str:
    from bnbench.analysis.default_targets import with_default_targets
    from bnbench.report import Contents, markdown_conclusion

    versions, date = table.record.environment.versions, table.record.asked.created[:10]
    source = f"{' and '.join(sweeps)}, {date}, numerics version {versions['numerics']}, torch {versions['torch']}"
    conclusion = markdown_conclusion(Contents(with_default_targets(table)))
    return f"{question} (`python -m bnbench +sweep={name}`; {source})\n\n{conclusion}"
