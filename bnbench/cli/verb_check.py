"""`python -m bnbench check`: an implementation of batch norm put through its properties."""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError


def main(words: Sequence[str]) -> None:
    """Print a row for each property of an implementation; exits 1 if one is at fault."""
    from bnbench.check.conventions import CONVENTIONS
    from bnbench.check.examine import examine
    from bnbench.check.process import Target
    from bnbench.check.subject.found import FRAMEWORKS
    from bnbench.check.text import as_text

    parser = VerbParser("check", names="[PACKAGE.MODULE:NAME]", keys=["*"])
    parser.add_argument("--framework", choices=FRAMEWORKS, help="of which it is, where that cannot be told")
    parser.add_argument("--like", choices=[*CONVENTIONS], help="whose conventions it is to have")
    parser.add_argument("--backward", metavar="PACKAGE.MODULE:NAME", help="the gradient of a plain function")
    parser.add_argument("--python", metavar="FILE", default=sys.executable, help="the interpreter that runs it")
    parser.add_argument("--seconds", metavar="S", default="120", help="how long one answer may take (default: 120)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write it as a page")
    request = parser.read(words)
    options = request.options
    if not request.names:
        parser.error("needs a class or a function, package.module:name")
    for name in filter(None, [request.names[0], options.backward]):
        if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", name):
            parser.error(f"{name} is not understood; it must be package.module:name")
    for path in filter(None, [options.json, options.html]):
        if not path.expanduser().absolute().parent.is_dir():
            raise ConfigError(f"check {path} is in no folder that exists; make {path.parent} first")
    target = Target(
        name=request.names[0],
        framework=options.framework,
        arguments=dict(map(_argument, request.settings)),
        backward=options.backward,
        python=shutil.which(options.python) or options.python,
        seconds=_seconds(options.seconds),
    )
    report = examine(target, options.like)
    from bnbench.report.terminal import has_colour

    print(as_text(report, min(shutil.get_terminal_size((120, 24)).columns, 160), colour=has_colour(sys.stdout)))
    if options.json:
        options.json.expanduser().write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    if options.html:
        from bnbench.check.page import as_html

        options.html.expanduser().write_text(as_html(report), encoding="utf-8")
    if report.faults:
        sys.exit(1)


def _argument(word: str) -> tuple[str, Any]:
    """NAME=VALUE with the value as Python has it; a text where it is none of Python's."""
    name, _, text = word.lstrip("+").partition("=")
    if not name.isidentifier():
        raise ConfigError(f"check {word} is not understood; an argument of the constructor is NAME=VALUE")
    try:
        return name, ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return name, {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"check --seconds {text} is not allowed; it must be a number > 0")
    return value
