"""Where a configuration has everything written: the folders under `runs_dir`, and the tracking store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bnbench.config.schema import Config, TrackingConfig
from bnbench.config.store_address import Address
from bnbench.record.whole_file import draft_of

_MOST_CHARACTERS = 200  # of a folder's name; file systems take 255 bytes


@dataclass(frozen=True)
class Workspace:
    """The places that sweeps are written to and read from.

    Attributes:
        runs_dir: The folder of everything else, absolute.
        address: Of the tracking store.
        experiment: The experiment in that store.
    """

    runs_dir: Path
    address: Address
    experiment: str

    @classmethod
    def of(cls, config: Config) -> Workspace:
        """The places that `runs_dir`, `tracking.uri` and `tracking.experiment` name.

        Raises:
            ConfigError: If `tracking.uri` is not the address of a store that can be used.
        """
        return cls.at(Path(config.runs_dir), config.tracking.uri, config.tracking.experiment)

    @classmethod
    def at(cls, runs_dir: Path, uri: str | None = None, experiment: str = TrackingConfig.experiment) -> Workspace:
        """As `of`, for these values of the keys."""
        runs_dir = runs_dir.expanduser().absolute()
        return cls(runs_dir, Address.resolve(uri, runs_dir), experiment)

    @property
    def cache(self) -> Path:
        """Images that were parsed, and how fast packs are on this machine."""
        return self.runs_dir / "cache"

    @property
    def checkpoints(self) -> Path:
        """Half-trained packs of all sweeps."""
        return self.runs_dir / "checkpoints"

    @property
    def spools(self) -> Path:
        """Results that wait for their tracking store, in a folder for each store."""
        return self.runs_dir / "spool"

    @property
    def reproduced(self) -> Path:
        """Sweeps that were trained anew from their records."""
        return self.runs_dir / "reproduced"

    @property
    def latest(self) -> Path:
        """The pointer to the folder of the sweep that ended last."""
        return self.runs_dir / "latest"

    def sweep_folder(self, name: str, id: str) -> Path:
        """Where the files of a sweep are: in `runs_dir` itself, whatever characters its name has."""
        title = re.sub(r"[^\w+=,@-]+", "-", f"{name}-{id}", flags=re.ASCII)
        return self.runs_dir / title[-_MOST_CHARACTERS:]

    def point_latest(self, sweep_folder: Path) -> None:
        """Make `latest` lead to a sweep's folder, in one step."""
        with draft_of(self.latest) as draft:
            draft.symlink_to(sweep_folder.name)
