"""`python -m bnbench status`: how far a sweep is."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import VerbParser
from bnbench.record.planned_trial import MISSING


def main(words: Sequence[str]) -> None:
    """Print how many of a sweep's trials are done, running, failed and to do; and which contrasts are settled."""
    from bnbench.sweep.running.place import ready_command
    from bnbench.sweep.running.settling import describe_settling
    from bnbench.sweep.running.status import describe_status, running_keys
    from bnbench.tracking import Spool, Store

    request = VerbParser("status", names="[SWEEP]").read(words)
    workspace = request.workspace
    store = Store.open(workspace, create=False)
    standing = store.standing(request.sweep)
    keys = {trial.key for trial in standing.trials}
    waiting = {result.key: result.status for result in Spool.of(workspace).read_all() if result.key in keys}
    running = running_keys(workspace.sweep_folder(standing.record.asked.name, standing.record.asked.id))
    print(describe_status(standing, running, waiting, ready_command("sync", request.config)))
    if standing.record.asked.looks:
        table = store.load(standing.record.title)
        own = sum(trial.status not in (MISSING, "failed") and not trial.reused for trial in standing.trials)
        print(*describe_settling(table, own, runs=standing.state == "running"), sep="\n")
