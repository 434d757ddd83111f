"""`python -m bnbench reproduce`: a sweep once more, from its manifest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bnbench.config import ConfigError

__all__ = ["main"]

_USAGE = (
    "reproduce [manifest.json|SWEEP] [--sample N|all] [--into FOLDER] [runs_dir=…] [tracking.uri=…] "
    "[tracking.experiment=…] [data.root=…] [hydra.launcher.…=…]"
)
_SETTINGS = ("runs_dir=", "tracking.", "data.root=", "hydra.launcher.")


def main(words: Sequence[str]) -> None:
    """Train a recorded sweep's trials anew and compare every digit; exits 1 if one differs, 130 on Ctrl-C."""
    from bnbench.api import hydra_sweep
    from bnbench.sweep.reproduce import reproduce
    from bnbench.sweep.sample import sample_size

    source: str | None = None
    sample: int | None = None
    into: Path | None = None
    settings = [word for word in words if word.startswith(_SETTINGS)]
    rest = [word for word in words if word not in settings]
    while rest:
        word = rest.pop(0)
        option, _, value = word.partition("=")
        if option in {"--sample", "--into"} and (value or rest):
            value = value or rest.pop(0)
            if option == "--sample":
                sample = sample_size(value)
            else:
                into = Path(value)
        elif source is not None or word.startswith("-") or "=" in word:
            raise ConfigError(f"reproduce {word} is not understood; allowed: {_USAGE}")
        else:
            source = word
    try:
        with hydra_sweep(settings) as hydra:
            reproduce(source or "latest", hydra, sample, into)
    except KeyboardInterrupt:
        print("interrupted; nothing was compared", file=sys.stderr)
        sys.exit(130)
