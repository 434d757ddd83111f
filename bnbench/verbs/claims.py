"""`python -m bnbench claims`: what batch norm is said to do, and what the data say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.config import ConfigError, Size
from bnbench.verbs.parser import Asked, VerbParser

if TYPE_CHECKING:
    from bnbench.claims import Claim, Judgment

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """List the claims with their latest verdicts, explain some with their evidence, or run what they need first."""
    from bnbench.claims import load_claims
    from bnbench.claims.page import explain_claim, list_claims
    from bnbench.confdir import conf_dir

    parser = VerbParser("claims", names="[CLAIM …]", keys=["*"])
    parser.add_argument("--run", choices=[*Size], help="first run what they need, at this size")
    parser.add_argument(
        "--config-dir", metavar="FOLDER", type=Path, action="append", default=[], help="also take claims from here"
    )
    asked = parser.read(words)
    claims = load_claims([*asked.options.config_dir, conf_dir()])
    for id in asked.names:
        if id not in claims:
            raise ConfigError(f"claim {id} is unknown; allowed: {', '.join(claims)}")
    chosen = [claims[id] for id in asked.names or claims]
    if asked.options.run:
        _run(chosen, asked)
    judgments = _judge(chosen, asked)
    if asked.names:
        print("\n\n".join(explain_claim(judgment) for judgment in judgments))
    else:
        print(list_claims(judgments))


def _run(claims: Sequence[Claim], asked: Asked) -> None:
    """Run the claims' sweeps one after another; trials that several need are trained once."""
    from bnbench.api import run

    sweeps = dict.fromkeys(claim.sweep for claim in claims if not claim.missing)
    if not sweeps:
        raise ConfigError(f"{' '.join(asked.names)} cannot be run: it needs {'; '.join(claims[0].missing)}")
    folders = ",".join(f"file://{folder.absolute()}" for folder in asked.options.config_dir)
    search = [f"hydra.searchpath=[{folders}]"] if folders else []
    run(*search, f"sweep.parts=[{','.join(sweeps)}]", f"sweep.size={asked.options.run}", *asked.settings)


def _judge(claims: Sequence[Claim], asked: Asked) -> list[Judgment]:
    """Each claim on the newest sweep of its name that ended, every sweep read once."""
    from bnbench.claims import judge, not_run
    from bnbench.tracking import NothingRecordedError
    from bnbench.tracking.store import Store

    tracking = asked.config.tracking
    try:
        store = Store.open(tracking.uri, runs_dir=asked.runs_dir, experiment=tracking.experiment, create=False)
    except NothingRecordedError:
        return [not_run(claim) for claim in claims]
    newest = {}
    for sweep in reversed(store.sweeps()):
        if sweep["status"] in {"FINISHED", "FAILED"}:
            newest[sweep["name"]] = sweep["run_id"]
    tables = {name: store.load(newest[name]) for name in {claim.sweep for claim in claims} & newest.keys()}
    return [judge(claim, tables[claim.sweep]) if claim.sweep in tables else not_run(claim) for claim in claims]
