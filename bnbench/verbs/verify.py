"""`python -m bnbench verify`: a sweep's digits checked."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import ConfigError
from bnbench.verbs.settings import settings_of

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Train some of a sweep's trials again, each alone, and compare every digit with the tracking store's."""
    from bnbench.sweep.sample import sample_size
    from bnbench.sweep.verify import verify as verify_sweep

    sweep: str | None = None
    sample: int | None = 4
    settings = [word for word in words if word.startswith(("runs_dir=", "tracking.", "data.root="))]
    rest = [word for word in words if word not in settings]
    while rest:
        word = rest.pop(0)
        if word.startswith("--sample=") or (word == "--sample" and rest):
            sample = sample_size(word.partition("=")[2] or rest.pop(0))
        elif sweep is not None or word.startswith("-") or "=" in word:
            raise ConfigError(
                f"verify {word} is not understood; allowed: verify [SWEEP] [--sample N|all] [runs_dir=…] "
                "[tracking.uri=…] [tracking.experiment=…] [data.root=…]"
            )
        else:
            sweep = word
    verify_sweep(sweep or "latest", settings_of(settings), sample)
