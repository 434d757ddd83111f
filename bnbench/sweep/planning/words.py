"""The words of a command line, checked before Hydra reads them: its parser's own answers name no remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from bnbench.config import ConfigError
from bnbench.config.nearest import did_you_mean

_WORKERS = re.compile(r"-?[1-9]\d*")
_HEEDED = ("hydra.launcher.", "hydra.sweeper.", "hydra.searchpath", "hydra.mode", "hydra.callbacks")


def check_words(words: Sequence[str], *, verbs: Iterable[str] = (), conf_dirs: Sequence[Path] = ()) -> None:
    """Refuse what cannot be read as KEY=VALUE.

    Args:
        words: The command line without its flags.
        verbs: What the first word may have been meant for.
        conf_dirs: Where sweeps are, for which any word may have been meant.

    Raises:
        ConfigError: One line for each word, with what it may have meant or how it is quoted.
    """
    sweeps = [f"+sweep={file.stem}" for folder in conf_dirs for file in (folder / "sweep").glob("*.yaml")]
    errors = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals and not word.startswith("~"):
            exact = [sweep for sweep in sweeps if sweep == f"+sweep={word}"]
            meant = f"; did you mean {exact[0]}?" if exact else did_you_mean(word, [*verbs, *sweeps])
            errors.append(f"{word} is neither a command nor KEY=VALUE{meant}")
        elif key == "hydra.launcher.n_jobs" and not _WORKERS.fullmatch(value):
            errors.append(wrong_number_of_workers(value))
        elif not _can_be_read(word):
            errors.append(f"{word} cannot be read{_remedy(key, value)}")
    if errors:
        raise ConfigError("\n".join(errors))


def wrong_number_of_workers(number: object) -> str:
    """The error for a number of workers that cannot be used."""
    return f"hydra.launcher.n_jobs={number} is not allowed; it must be a whole number >= 1, or -1 for one a core"


def quoted(key: str, value: str) -> str:
    """A word whose value is taken as the text it is, as it is typed in a shell."""
    inside = value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "'\\''")
    return f"'{key}=\"{inside}\"'"


def useless_settings(overrides: Iterable[str]) -> list[str]:
    """A line for each of Hydra's own settings that was typed and changes nothing here."""
    typed = [override.partition("=")[0].lstrip("+~") for override in overrides]
    useless = [key for key in typed if key.startswith("hydra.") and not key.startswith(_HEEDED)]
    return [f"{key} has no effect: bnbench writes under runs_dir and prints its own lines" for key in useless]


def _can_be_read(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    except (ValueError, TypeError, AssertionError):  # of words such as `=0`, which Hydra answers by itself
        return True
    return True


def _remedy(key: str, value: str) -> str:
    for opening, closing in ("()", "[]", "{}"):
        if value.count(opening) > value.count(closing):
            return f": {closing!r} is missing"
    if value.rstrip().endswith(","):
        return ": a value is missing after the last comma"
    return f"; if {value} is one text, quote it: {quoted(key, value)}"
