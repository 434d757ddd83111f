"""`python -m bnbench report`: a sweep's report again."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import ConfigError
from bnbench.verbs.settings import settings_of

__all__ = ["main"]

_USAGE = "report [SWEEP] [--format html,md,tex,csv] [runs_dir=…] [tracking.uri=…] [tracking.experiment=…]"


def main(words: Sequence[str]) -> None:
    """Write a sweep's report again, from the tracking store alone."""
    from bnbench.api import load_with
    from bnbench.report import terminal_conclusion

    sweep: str | None = None
    formats: Sequence[str] | None = None
    settings = [word for word in words if word.startswith(("runs_dir=", "tracking."))]
    rest = [word for word in words if word not in settings]
    while rest:
        word = rest.pop(0)
        if word.startswith("--format=") or (word == "--format" and rest):
            formats = (word.partition("=")[2] or rest.pop(0)).split(",")
        elif sweep is not None or word.startswith("-") or "=" in word:
            raise ConfigError(f"report {word} is not understood; allowed: {_USAGE}")
        else:
            sweep = word
    loaded = load_with(sweep or "latest", settings_of(settings))
    paths = loaded.report(formats)
    print(terminal_conclusion(loaded.table, 100) + "\n")
    for path in paths.values():
        print(f"report: {path}")
