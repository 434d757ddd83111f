"""`python -m bnbench load`: a sweep that came as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.cli.parser import VerbParser
from bnbench.config.workspace import Workspace

if TYPE_CHECKING:
    from bnbench.tracking import SweepArchive


def main(words: Sequence[str]) -> None:
    """Record a sweep that `pack` wrote, as far as it is not here: its trials are known by their keys."""
    from bnbench.sweep.planning.describe import count
    from bnbench.sweep.running.place import ready_command
    from bnbench.sweep.running.refresh_charts import renew_charts
    from bnbench.tracking import Store, read_archive

    parser = VerbParser("load", names="FILE")
    request = parser.read(words)
    if not request.names:
        parser.error("needs a file")
    archive = read_archive(Path(request.names[0]).expanduser())
    config = request.config
    store = Store.open(Workspace.of(config))
    added = store.add_archive(archive)
    renew_charts(store, store.load(added.run_id))
    state = "recorded" if added.is_new else "was here already"
    print(f"{archive.title} {state}: {count(added.trials, 'trial')} added, {added.recorded_before} known before")
    if added.differing:
        print(f"{count(added.differing, 'trial')} known before with other numbers: those recorded here stand")
    folder = store.workspace.sweep_folder(archive.record.asked.name, archive.record.asked.id)
    _keep_report(archive, folder, store.workspace)
    if (folder / "report.html").exists():
        print(f"report: {folder / 'report.html'}")
    else:
        print(f"for its report: {ready_command('report', config, archive.title)}")
    print(f"charts: {ready_command('ui', config, archive.title)}")


def _keep_report(archive: SweepArchive, folder: Path, workspace: Workspace) -> None:
    """Put the report's files where a sweep of this machine has them, unless it has them."""
    if folder.exists() or not archive.files:
        return
    for name, content in archive.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if not workspace.latest.exists():
        workspace.point_latest(folder)
