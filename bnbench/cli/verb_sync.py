"""`python -m bnbench sync`: what the tracking store has not got yet."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import VerbParser


def main(words: Sequence[str]) -> None:
    """Deliver the results that wait on this disk, and close the runs of processes that were killed."""
    from bnbench.record.names import Tag
    from bnbench.sweep.planning.describe import count
    from bnbench.sweep.running.refresh_charts import renew_charts
    from bnbench.tracking import Store, waiting_results

    request = VerbParser("sync").read(words)
    store = Store.open(request.workspace, create=False)
    sweeps: set[str | None] = set()
    drain = store.drain(patience_seconds=0, on_result=lambda result: sweeps.add(result.tags.get(Tag.PARENT)))
    drain.flush()
    for sweep in store.sweeps():
        if sweep.run_id in sweeps:
            renew_charts(store, store.load(sweep.run_id))
    closed = store.close_killed()
    print(f"{count(drain.delivered, 'result')} delivered to {store.address.shown}")
    if closed:
        print(f"{count(closed, 'run')} of killed processes closed")
    for where, trials in waiting_results(store.workspace).items():
        print(f"waiting for another store, to be given by tracking.uri=…: {count(trials, 'result')} for {where}")
