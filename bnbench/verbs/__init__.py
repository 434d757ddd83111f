"""The command line's verbs: each a module with a `main` that takes the words after it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

__all__ = ["VERBS", "run_verb"]

VERBS = ("bench", "claims", "explain", "list", "report", "reproduce", "status", "sync", "time", "ui", "verify")


def run_verb(verb: str, words: Sequence[str]) -> None:
    """Run one of `VERBS`; only its own module is imported."""
    import_module(f"bnbench.verbs.{verb}").main(words)
