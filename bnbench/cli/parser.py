"""How a verb's words are read: what it names, its options, and the configuration's KEY=VALUE, in any order."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NoReturn

from bnbench.cli import VERBS
from bnbench.config import Config, ConfigError
from bnbench.config.nearest import did_you_mean
from bnbench.config.workspace import Workspace

TRACKED = ("runs_dir", "tracking.*")
"""The keys that say where results are recorded."""


@dataclass(frozen=True)
class VerbRequest:
    """What a verb is asked for.

    Attributes:
        names: Of sweeps, claims or files, as the verb has it.
        settings: The KEY=VALUE words.
        options: The values of its options.
    """

    names: list[str]
    settings: list[str]
    options: argparse.Namespace

    @property
    def sweep(self) -> str:
        """The sweep that is named; the latest where none is."""
        return self.names[0] if self.names else "latest"

    @property
    def config(self) -> Config:
        """The configuration that the settings give."""
        from bnbench.sweep.hydra_session import compose_one

        return compose_one(self.settings)

    @property
    def workspace(self) -> Workspace:
        """Where those settings have everything written."""
        return Workspace.of(self.config)


class VerbParser(argparse.ArgumentParser):
    """Reads the words after a verb; `--help` describes them and exits with 0.

    Args:
        verb: One of `VERBS`.
        names: How many names it takes, as its usage shows them: "", "[SWEEP]" or "[CLAIM …]".
        keys: The configuration's keys that it takes, with `*` for any.
    """

    def __init__(self, verb: str, *, names: str = "", keys: Sequence[str] = TRACKED) -> None:
        super().__init__(
            prog=f"python -m bnbench {verb}", description=f"{VERBS[verb]}.".capitalize(), allow_abbrev=False
        )
        self._verb = verb
        self._names = names
        self._keys = keys

    def read(self, words: Sequence[str]) -> VerbRequest:
        """Sort the words.

        Raises:
            ConfigError: If one of them is not understood; one line, with what is allowed.
        """
        self.usage = f"{self.prog} {self._allowed()}"
        options, rest = self.parse_known_args([*words])
        named = [word for word in rest if "=" not in word and not word.startswith("-")]
        most = len(named) if "…" in self._names else int(bool(self._names))
        wrong = [word for word in rest if word not in named and not self._is_setting(word)] + named[most:]
        if wrong:
            self.error(f"{wrong[0]} is not understood{self._nearest(wrong[0])}")
        return VerbRequest(named, [word for word in rest if word not in named], options)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self._verb} {message}; allowed: {self._verb} {self._allowed()}".replace(" ;", ";"))

    def _is_setting(self, word: str) -> bool:
        key = word.partition("=")[0].lstrip("+")
        return not word.startswith("-") and any(fnmatchcase(key, allowed) for allowed in self._keys)

    def _allowed(self) -> str:
        options = [self._shown(action) for action in self._actions if action.dest != "help"]
        keys = ["KEY=VALUE …"] if "*" in self._keys else [f"{key.replace('*', '…')}=…" for key in self._keys]
        return " ".join([*filter(None, [self._names]), *(f"[{part}]" for part in [*options, *keys])])

    @staticmethod
    def _shown(action: argparse.Action) -> str:
        value = "|".join(map(str, action.choices)) if action.choices else action.metavar or action.dest.upper()
        return action.option_strings[0] if action.nargs == 0 else f"{action.option_strings[0]} {value}"

    def _nearest(self, word: str) -> str:
        options = [option for action in self._actions for option in action.option_strings]
        keys = [key for key in self._keys if "*" not in key]
        return did_you_mean(word.partition("=")[0], options if word.startswith("-") else keys)
