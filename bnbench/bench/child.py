"""A timed process: `python -m bnbench.bench.child SIDE` answers calls, one JSON line each, until its input ends."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from importlib import import_module
from typing import Any

PEERS = frozenset({"usual", "handwritten", "jax_loop"})
"""Sides that are not bnbench: the setting of MKL that bnbench makes must not slow them down."""


def _main(side: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # so that what libraries print is not taken for an answer
    if side in PEERS:
        os.environ.pop("MKL_CBWR", None)  # `import bnbench` set it; torch, which reads it, is not loaded yet
    try:
        worker: Any = import_module(f"bnbench.bench.{side}").Side()
        _say(answers, {"answer": None})
        for line in sys.stdin:
            request = json.loads(line)
            _say(answers, {"answer": getattr(worker, request["method"])(**request["arguments"])})
    except Exception as error:
        traceback.print_exc()
        _say(answers, {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})


def _say(answers: Any, reply: dict[str, Any]) -> None:
    print(json.dumps(reply, default=asdict), file=answers, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
