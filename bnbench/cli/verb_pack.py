"""`python -m bnbench pack`: a sweep as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError


def main(words: Sequence[str]) -> None:
    """Write a sweep with its trials' numbers and its report as one file, which `load` records elsewhere."""
    from bnbench.sweep.planning.describe import count
    from bnbench.tracking import Store, write_archive

    parser = VerbParser("pack", names="[SWEEP]")
    parser.add_argument("--to", metavar="FILE", type=Path, help="the file to write (default: the sweep's name, .zip)")
    request = parser.read(words)
    store = Store.open(request.workspace, create=False)
    archive = store.archived(request.sweep)
    folder = store.workspace.sweep_folder(archive.record.asked.name, archive.record.asked.id)
    path = request.options.to or Path(f"{folder.name}.zip")
    path = path.expanduser()
    if path.exists():
        raise ConfigError(f"{path} exists; remove it, or name another file with --to")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--to {path} is in no folder that exists; make {path.parent} first")
    write_archive(path, archive)
    done = f"{len(archive.results)} of {count(len(archive.planned), 'trial')}"
    print(f"{archive.title}: {done}, {path.stat().st_size / 2**20:.1f} MiB in {path}")
    print(f"to record it elsewhere: python -m bnbench load {path.name}")
