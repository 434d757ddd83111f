"""`python -m bnbench status`: how far a sweep is."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import VerbParser


def main(words: Sequence[str]) -> None:
    """Print how many of a sweep's trials are done, running, failed and to do."""
    from bnbench.sweep.running.finish import sweep_folder
    from bnbench.sweep.running.place import ready_command
    from bnbench.sweep.running.status import describe_status, running_keys
    from bnbench.tracking import spool
    from bnbench.tracking.store import Store

    asked = VerbParser("status", names="[SWEEP]").read(words)
    config, runs_dir = asked.config, asked.runs_dir
    tracking = config.tracking
    store = Store.open(tracking.uri, runs_dir=runs_dir, experiment=tracking.experiment, create=False)
    standing = store.standing(asked.sweep)
    keys = {trial.key for trial in standing.trials}
    spooled = spool.read_all(spool.folder_of(runs_dir, store.address, tracking.experiment))
    waiting = {result.key: result.status for result in spooled if result.key in keys}
    running = running_keys(sweep_folder(runs_dir, standing.record.asked.name, standing.record.asked.id))
    print(describe_status(standing, running, waiting, ready_command("sync", config)))
