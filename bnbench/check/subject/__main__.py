"""The process of the checked layer: `python -m bnbench.check.subject` answers requests, a line each, until its end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnbench.check.subject.found import NotFoundError, adapter, one_line
from bnbench.check.subject.layer import Layer, NotApplicableError, Spec, roles
from bnbench.check.wire import from_line, to_line

_LOOK_SECONDS = 0.5


def main() -> None:
    """Say what was found, then answer each scenario: a layer that is made anew, and what is done with it in turn."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # so that what libraries print is not taken for an answer
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    target = from_line(sys.stdin.readline())
    try:
        framework, made = adapter(target["name"], target["framework"], target["arguments"], target["backward"])
        print(to_line({"framework": framework, "versions": made.versions()}), file=answers, flush=True)
    except NotFoundError as error:
        print(to_line({"bad": str(error)}), file=answers, flush=True)
        return
    for line in sys.stdin:
        request = from_line(line)
        if not made.use_threads(request["threads"]):
            print(to_line({"refused": "threads"}), file=answers, flush=True)
            continue
        print(to_line(_answer(made, request["spec"], request["steps"])), file=answers, flush=True)


def _answer(made: Any, spec: Mapping[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """What each step gave, or the message with which it was refused; the steps after a refusal are done too."""
    try:
        layer = made.make(Spec(**spec))
    except NotApplicableError as error:
        return {"refused": str(error)}
    except Exception as error:  # whatever the checked code raises
        return {"refused": one_line(error)}
    given: list[Any] = []
    for step in steps:
        try:
            layer, answer = _do(layer, **step)
        except NotApplicableError as error:
            answer = {"refused": str(error)}
        except Exception as error:
            answer = {"refused": one_line(error)}
        given.append(answer)
    return {"steps": given, "settings": layer.settings}


def _do(layer: Any, do: str, dtype: str = "float32", **given: Any) -> tuple[Layer, Any]:
    """One step: the layer that goes on, and the answer."""
    match do:
        case "forward":
            y, type_ = layer.forward(given["x"], given["training"], dtype)
            return layer, {"y": y, "dtype": type_}
        case "train":
            for x in given["batches"]:
                layer.forward(x, True, dtype)
            return layer, {}
        case "gradients":
            return layer, vars(layer.gradients(given["x"], given["dout"], given["training"], dtype))
        case "state":
            state = layer.state()
            named = roles(state)
            return layer, {"names": [*state], **{role: state[name].reshape(-1) for role, name in named.items()}}
        case "write":
            named = roles(layer.state())
            layer.write({named[role]: given[role] for role in ("scale", "shift") if role in named})
            return layer, {role: role in named for role in ("scale", "shift")}
        case "save and load":
            return layer.saved_and_loaded(), {}
        case "freeze":
            layer.freeze()
            return layer, {}
    raise ValueError(do)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
