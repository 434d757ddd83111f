"""`python -m bnbench sync`: what the tracking store has not got yet."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import VerbParser


def main(words: Sequence[str]) -> None:
    """Deliver the results that wait on this disk, and close the runs of processes that were killed."""
    from bnbench.record.names import Tag
    from bnbench.sweep.planning.describe import count
    from bnbench.sweep.running.refresh_charts import renew_charts
    from bnbench.tracking import spool
    from bnbench.tracking.drain import Drain
    from bnbench.tracking.store import Store

    asked = VerbParser("sync").read(words)
    tracking, runs_dir = asked.config.tracking, asked.runs_dir
    store = Store.open(tracking.uri, runs_dir=runs_dir, experiment=tracking.experiment, create=False)
    sweeps: set[str | None] = set()
    drain = Drain(
        store,
        spool.folder_of(runs_dir, store.address, tracking.experiment),
        patience_seconds=0,
        on_result=lambda result: sweeps.add(result.tags.get(Tag.PARENT)),
    )
    drain.flush()
    for known in store.sweeps():
        if known["run_id"] in sweeps:
            renew_charts(store, store.load(known["run_id"]))
    closed = store.close_killed()
    print(f"{count(drain.delivered, 'result')} delivered to {store.address.shown}")
    if closed:
        print(f"{count(closed, 'run')} of killed processes closed")
    for where, trials in spool.waiting(runs_dir).items():
        print(f"waiting for another store, to be given by tracking.uri=…: {count(trials, 'result')} for {where}")
