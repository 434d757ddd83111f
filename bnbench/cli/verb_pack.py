"""`python -m bnbench pack`: a sweep as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError


def main(words: Sequence[str]) -> None:
    """Write a sweep with its trials' numbers and its report as one file, which `load` records elsewhere."""
    from bnbench.sweep.planning.describe import count
    from bnbench.sweep.running.finish import sweep_folder
    from bnbench.tracking.archive import write_archive
    from bnbench.tracking.store import Store

    parser = VerbParser("pack", names="[SWEEP]")
    parser.add_argument("--to", metavar="FILE", type=Path, help="the file to write (default: the sweep's name, .zip)")
    asked = parser.read(words)
    tracking = asked.config.tracking
    store = Store.open(tracking.uri, runs_dir=asked.runs_dir, experiment=tracking.experiment, create=False)
    archive = store.archived(asked.sweep)
    path = asked.options.to or Path(f"{sweep_folder(Path(), archive.record.asked.name, archive.record.asked.id)}.zip")
    path = path.expanduser()
    if path.exists():
        raise ConfigError(f"{path} exists; remove it, or name another file with --to")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--to {path} is in no folder that exists; make {path.parent} first")
    write_archive(path, archive)
    done = f"{len(archive.results)} of {count(len(archive.planned), 'trial')}"
    print(f"{archive.title}: {done}, {path.stat().st_size / 2**20:.1f} MiB in {path}")
    print(f"to record it elsewhere: python -m bnbench load {path.name}")
