"""`python -m bnbench report`: a sweep's report again, or two sweeps compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bnbench.config import Config, ConfigError
from bnbench.verbs.settings import settings_of

__all__ = ["main"]

_USAGE = (
    "report [SWEEP] [--format html,md,tex,csv] [--against SWEEP] [--against-store RUNS_DIR|URI] [runs_dir=…] "
    "[tracking.uri=…] [tracking.experiment=…]"
)
_OPTIONS = ("--format", "--against", "--against-store")


def main(words: Sequence[str]) -> None:
    """Write a sweep's report again, or how it compares with another, from tracking stores alone."""
    from bnbench.api import load_with
    from bnbench.report import terminal_comparison, terminal_conclusion

    sweep, options, settings = _parse(words)
    config = settings_of(settings)
    formats = options["--format"].split(",") if "--format" in options else None
    loaded = load_with(sweep or "latest", config)
    if options.keys() & {"--against", "--against-store"}:
        other = load_with(options.get("--against", "latest"), _at(config, options.get("--against-store")))
        said, paths = loaded.compare(other, formats)
        print(terminal_comparison(said) + "\n")
    else:
        paths = loaded.report(formats)
        print(terminal_conclusion(loaded.table, 100) + "\n")
    for path in paths.values():
        print(f"report: {path}")


def _parse(words: Sequence[str]) -> tuple[str | None, dict[str, str], list[str]]:
    """The sweep, the options with their values, and the configuration's settings."""
    settings = [word for word in words if word.startswith(("runs_dir=", "tracking."))]
    rest = [word for word in words if word not in settings]
    sweep: str | None = None
    options: dict[str, str] = {}
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _OPTIONS and (value if equals else rest):
            options[name] = value or rest.pop(0)
        elif sweep is not None or word.startswith("-") or equals:
            raise ConfigError(f"report {word} is not understood; allowed: {_USAGE}")
        else:
            sweep = word
    return sweep, options, settings


def _at(config: Config, store: str | None) -> Config:
    """The same settings for another store: a folder of runs, or a tracking URI."""
    if store is None:
        return config
    if "://" in store:
        return replace(config, tracking=replace(config.tracking, uri=store))
    return replace(config, runs_dir=store, tracking=replace(config.tracking, uri=None))
