"""`python -m bnbench claims`: what batch norm is said to do, and what the data say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.cli.parser import VerbParser, VerbRequest
from bnbench.config import ConfigError, Size
from bnbench.config.workspace import Workspace

if TYPE_CHECKING:
    from bnbench.claims import Claim, Judgment
    from bnbench.sweep.again.evidence import Evidence


def main(words: Sequence[str]) -> None:
    """List the claims with their latest verdicts, explain some with their evidence, or run what they need first."""
    from bnbench.claims import load_claims
    from bnbench.claims.page import explain_claim, list_claims
    from bnbench.config.folder import conf_dir

    parser = VerbParser("claims", names="[CLAIM …]", keys=["*"])
    parser.add_argument(
        "--run", choices=[*Size, "settled"], help="first run what they need: at this size, or until they are settled"
    )
    parser.add_argument(
        "--config-dir", metavar="FOLDER", type=Path, action="append", default=[], help="also take claims from here"
    )
    parser.add_argument(
        "--save", metavar="FILE", type=Path, help="also write the verdicts come to: FILE.yaml, or a page's table"
    )
    request = parser.read(words)
    claims = load_claims([*request.options.config_dir, conf_dir()])
    for id in request.names:
        if id not in claims:
            raise ConfigError(f"claim {id} is unknown; allowed: {', '.join(claims)}")
    chosen = [claims[id] for id in request.names or claims]
    if request.options.run:
        _run(chosen, request)
    judgments = _judge(chosen, request)
    if request.options.save:
        _save(judgments, claims, request.options.save)
    if request.names:
        print("\n\n".join(explain_claim(judgment) for judgment in judgments))
    else:
        print(list_claims(judgments))


def _save(judgments: Sequence[Judgment], claims: Mapping[str, Claim], path: Path) -> None:
    """Write the new verdicts; the table of a page has the shipped ones of the other claims too."""
    from bnbench.claims.ours import load_ours, verdict_table, verdicts, write_verdicts
    from bnbench.cli.page_sections import renew_sections

    judged = verdicts(judgments, f"{datetime.now(UTC):%Y-%m}")
    if path.suffix == ".md":
        renew_sections(path, {"Verdicts": verdict_table({**load_ours(), **judged}, claims)})
    else:
        write_verdicts(judged, path)
    print(f"{len(judged)} of {len(judgments)} claims are judged; their verdicts are in {path}")


def _run(claims: Sequence[Claim], request: VerbRequest) -> None:
    """Run the claims' sweeps one after another; trials that several need are trained once."""
    from bnbench.api import run

    sweeps = dict.fromkeys(claim.sweep for claim in claims if not claim.missing)
    if not sweeps:
        raise ConfigError(f"{' '.join(request.names)} cannot be run: it needs {'; '.join(claims[0].missing)}")
    run(
        *_searchpath(request),
        f"sweep.parts=[{','.join(sweeps)}]",
        "sweep.until=claims" if request.options.run == "settled" else f"sweep.size={request.options.run}",
        *request.settings,
    )


def _judge(claims: Sequence[Claim], request: VerbRequest) -> list[Judgment]:
    """Each claim on its sweep that went on until claims were settled, else on what fits its sweep's file."""
    from bnbench.claims import not_run
    from bnbench.sweep.again.evidence import find_evidence, settled_evidence
    from bnbench.sweep.hydra_session import hydra_sweep
    from bnbench.tracking import NothingRecordedError, Store

    with hydra_sweep([*_searchpath(request), *request.settings]) as hydra:
        config = hydra.settings
    try:
        store = Store.open(Workspace.of(config), create=False)
    except NothingRecordedError:
        return [not_run(claim) for claim in claims]
    instead = [word for word in request.settings if not word.startswith(("runs_dir=", "tracking.", "hydra."))]
    words = [*_searchpath(request), *instead]
    evidence = {
        name: (None if instead else settled_evidence(name, store)) or find_evidence(name, words, store)
        for name in dict.fromkeys(claim.sweep for claim in claims)
    }
    return [_judge_on(claim, evidence[claim.sweep], instead) for claim in claims]


def _judge_on(claim: Claim, evidence: Evidence, instead: Sequence[str]) -> Judgment:
    from bnbench.analysis import Analysis
    from bnbench.claims import judge, not_run

    if evidence.table is None:
        return not_run(claim, evidence.recorded, evidence.planned)
    judgment = judge(claim, Analysis(evidence.table))
    newest, *others = evidence.sweeps
    judgment = replace(judgment, sweep=f"{newest} and {len(others)} more" if others else newest)
    if not instead:
        return judgment
    remark = f"exploratory: judged with {' '.join(instead)} in place of its sweep's file"
    return replace(judgment, exploratory=True, remarks=(*judgment.remarks, remark))


def _searchpath(request: VerbRequest) -> list[str]:
    """What makes Hydra look into the folders of `--config-dir`."""
    folders = ",".join(f"file://{folder.absolute()}" for folder in request.options.config_dir)
    return [f"hydra.searchpath=[{folders}]"] if folders else []
