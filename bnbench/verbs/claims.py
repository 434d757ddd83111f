"""`python -m bnbench claims`: what batch norm is said to do, and what the data say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bnbench.config import ConfigError, Size
from bnbench.verbs.settings import settings_of

if TYPE_CHECKING:
    from bnbench.claims import Claim, Judgment

__all__ = ["main"]

_USAGE = "claims [CLAIM …] [--run quick|full] [--config-dir FOLDER] [KEY=VALUE …]"


class _Asked(NamedTuple):
    ids: list[str]
    run: Size | None
    config_dirs: list[Path]
    settings: list[str]


def main(words: Sequence[str]) -> None:
    """List the claims with their latest verdicts, explain some with their evidence, or run what they need first."""
    from bnbench.claims import load_claims
    from bnbench.claims.page import explain_claim, list_claims
    from bnbench.confdir import conf_dir

    asked = _read(words)
    claims = load_claims([*asked.config_dirs, conf_dir()])
    for id in asked.ids:
        if id not in claims:
            raise ConfigError(f"claim {id} is unknown; allowed: {', '.join(claims)}")
    chosen = [claims[id] for id in asked.ids or claims]
    if asked.run:
        _run(chosen, asked)
    judgments = _judge(chosen, asked)
    if asked.ids:
        print("\n\n".join(explain_claim(judgment) for judgment in judgments))
    else:
        print(list_claims(judgments))


def _read(words: Sequence[str]) -> _Asked:
    asked = _Asked([], None, [], [])
    rest = [*words]
    while rest:
        word = rest.pop(0)
        flag, _, value = word.partition("=")
        if flag in {"--run", "--config-dir"}:
            value = value or (rest.pop(0) if rest else "")
            if flag == "--run" and value not in [*Size]:
                raise ConfigError(f"--run {value}".rstrip() + f" is not allowed; allowed: {', '.join(Size)}")
            if flag == "--run":
                asked = asked._replace(run=Size(value))
            else:
                asked.config_dirs.append(Path(value))
        elif word.startswith("-"):
            raise ConfigError(f"claims {word} is not understood; allowed: {_USAGE}")
        else:
            (asked.settings if "=" in word else asked.ids).append(word)
    return asked


def _run(claims: Sequence[Claim], asked: _Asked) -> None:
    """Run the claims' sweeps one after another; trials that several need are trained once."""
    from bnbench.api import run

    sweeps = dict.fromkeys(claim.sweep for claim in claims if not claim.missing)
    if not sweeps:
        raise ConfigError(f"{' '.join(asked.ids)} cannot be run: it needs {'; '.join(claims[0].missing)}")
    folders = ",".join(f"file://{folder.absolute()}" for folder in asked.config_dirs)
    search = [f"hydra.searchpath=[{folders}]"] if folders else []
    run(*search, f"sweep.parts=[{','.join(sweeps)}]", f"sweep.size={asked.run}", *asked.settings)


def _judge(claims: Sequence[Claim], asked: _Asked) -> list[Judgment]:
    """Each claim on the newest sweep of its name that ended, every sweep read once."""
    from bnbench.claims import judge, not_run
    from bnbench.tracking import NothingRecordedError
    from bnbench.tracking.store import Store

    config = settings_of(asked.settings)
    runs_dir = Path(config.runs_dir).expanduser().absolute()
    try:
        store = Store.open(config.tracking.uri, runs_dir=runs_dir, experiment=config.tracking.experiment, create=False)
    except NothingRecordedError:
        return [not_run(claim) for claim in claims]
    newest = {}
    for sweep in reversed(store.sweeps()):
        if sweep["status"] in {"FINISHED", "FAILED"}:
            newest[sweep["name"]] = sweep["run_id"]
    tables = {name: store.load(newest[name]) for name in {claim.sweep for claim in claims} & newest.keys()}
    return [judge(claim, tables[claim.sweep]) if claim.sweep in tables else not_run(claim) for claim in claims]
