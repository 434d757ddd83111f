"""The command line's verbs: each a module with a `main` that takes the words after it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

__all__ = ["VERBS", "run_verb"]

VERBS = {
    "list": "print the sweeps, experiments, claims, models, norms, optimizers and data there are",
    "docs": "print a page on norms, statistics, reproducibility, speed, extending bnbench; without a name, list them",
    "explain": "print a trial's layers, shapes and parameters, and normalization worked by hand",
    "lesson": "run a lesson for a class: a notebook, a page and slides; without a name, list them",
    "advise": "say which norms your own network needs: it trains variants of it until that is settled",
    "card": "put a norm, your own or a built-in one, through a battery beside others, and write its card",
    "claims": "say what batch norm is said to do and what the data say; with a name, the evidence",
    "findings": "say what each recorded sweep found, or renew a page of it",
    "report": "write a sweep's report again, or how it compares with another sweep",
    "verify": "train some of a sweep's trials again, each alone, and compare every digit",
    "reproduce": "train a sweep anew from its record, into a folder of its own, and compare",
    "time": "time a training step of each arm's trial alone, in turns: for claims on time",
    "runs": "list the recorded sweeps, each with its answers, and write them as one page",
    "status": "say how many of a sweep's trials are done, running, failed and to do",
    "pack": "write a sweep, its trials and its report as one file, to be handed on",
    "load": "record the sweep in such a file here, as far as it is not here yet",
    "sync": "record what was trained while the tracking store was away",
    "check": "put an implementation of batch norm, of any framework, through its properties",
    "bench": "time bnbench on this machine beside the usual way",
    "ui": "serve the MLflow UI on this machine, and say where a sweep's charts are",
}
"""What each verb does, in the order in which the help lists them."""


def run_verb(verb: str, words: Sequence[str]) -> None:
    """Run one of `VERBS`; only its own module is imported."""
    import_module(f"bnbench.cli.verb_{verb}").main(words)
