"""Reads claim files strictly, so that a key with a typo is an error; imports no pandas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from bnbench.claims.claim import At, Claim, Kind, Margin, Published, Rates, Statistic, Test
from bnbench.config import ConfigError
from bnbench.record import names

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

STEPS = "steps_to/val_acc"
"""The measure that stands for the steps to the first hit of every target."""

SUSTAINED = "steps_sustained/val_acc"
"""The measure that stands for the steps to the first evaluation from which on none is below the target."""

SECONDS = "seconds_to/val_acc"
"""Seconds to the first hit: its steps times a lone trial's seconds per step, as `python -m bnbench time` timed."""

TO_TARGETS = (STEPS, SUSTAINED, SECONDS)

_OF_HITS = ("steps_to/", "examples_to/")

TRIAL_OUTCOMES = ("trained", "diverged")
"""The measures that say how a trial ended, 1 or 0."""

CHECKS = ("bias_before_batch_norm", "batch_of_one", "one_image_at_a_time", "parameter_counts")
"""What `check` may name; `bnbench.claims.computed` has a function for each."""

_NEEDS_MARGIN = {Kind.greater, Kind.two_sided, Kind.equivalent, Kind.ratio, Kind.near}
_NEEDS_MORE_THAN_ZERO = {Kind.two_sided, Kind.equivalent, Kind.ratio, Kind.near}
_OF_STEPS = {Kind.ratio, Kind.near}


def load_claims(conf_dirs: Sequence[Path]) -> dict[str, Claim]:
    """Every claim by its id, in the ledger's order: C1, C1b, C2, …, C10.

    Args:
        conf_dirs: Folders that have `claim/*.yaml` in them. A claim in one hides those of the same name in later ones.

    Raises:
        ConfigError: If a folder is missing, a file is no claim or its sweep is in none of the folders; in one line.
    """
    files: dict[str, Path] = {}
    sweeps = {file.stem for folder in conf_dirs for file in (folder / "sweep").glob("*.yaml")}
    for folder in conf_dirs:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder} is not a folder; give one that has claim/*.yaml in it")
        for file in (folder / "claim").glob("*.yaml"):
            files.setdefault(file.stem, file)
    claims = {id: _read(files[id]) for id in sorted(files, key=_rank)}
    for claim in claims.values():
        if claim.sweep not in sweeps:
            allowed = ", ".join(sorted(sweeps))
            raise ConfigError(f"{files[claim.id]}: sweep={claim.sweep} is unknown; allowed: {allowed}")
    return claims


def parse_claim(id: str, raw: Any, where: str) -> Claim:
    """The claim that a file's plain values describe.

    Args:
        id: The file's name without ending, which is the claim's id.
        raw: The mapping that the file holds.
        where: The file's path, for error messages.

    Raises:
        ConfigError: If a key is unknown or missing, or a value is not allowed.
    """
    try:
        claim = TypeAdapter(Claim).validate_python({"id": id, **raw} if isinstance(raw, dict) else raw)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_complaint(error.errors()[0])}") from None
    if claim.id != id:
        raise ConfigError(f"{where}: id={claim.id} is not allowed; a claim has the name of its file")
    if not any(test.decides for test in claim.tests):
        raise ConfigError(f"{where}: no test decides the claim; leave decides out of one of them")
    tests = {f"tests[{i}]": test for i, test in enumerate(claim.tests)}
    for place, test in {**tests, **({"premise": claim.premise} if claim.premise else {})}.items():
        for key, allowed in _contradictions(test):
            value = _plain(getattr(test, key))
            raise ConfigError(f"{where}: {place}.{key}={value} is not allowed; {allowed}")
    return claim


def _complaint(error: ErrorDetails) -> str:
    """One thing that is wrong in a file: the key, what was given, and what is allowed."""
    place = [one for one in error["loc"] if one not in {"int", "float"}] or [""]  # without types of numbers
    key = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place).lstrip(".")
    kind = {"tests": Test, "premise": Test, "published": Published}.get(str(place[0]), Claim)
    known = ", ".join(f.name for f in fields(kind) if f.name != "id")
    given = " ".join(str(error["input"]).split())
    allowed = re.sub("^(Input|Tuple)", "it", error["msg"].removeprefix("Value error, ")).replace("tuple", "list")
    match error["type"]:
        case "missing":
            return f"{key} is missing"
        case "unexpected_keyword_argument":
            return f"{key} is not a key of a claim; allowed here: {known}"
        case "dataclass_type":
            return f"{key or 'the file'} must have keys; allowed: {known}"
        case "enum":
            allowed = "allowed: " + ", ".join(re.findall(r"'(.*?)'", error["ctx"]["expected"]))
        case "int_type":
            allowed = "it must be a number"
        case "string_type" | "string_pattern_mismatch":
            allowed = "it must be a text"
    return f"{key}={given} is not allowed; {allowed}"


def recorded(claim: Claim) -> dict[str, Any]:
    """The claim as plain values that `parse_claim` reads back; JSON-able."""
    return {f.name: _plain(getattr(claim, f.name)) for f in fields(Claim) if f.name != "id"}


def _plain(value: Any) -> Any:
    if isinstance(value, Margin):
        return str(value)
    if isinstance(value, Test | Published):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, StrEnum) else value


def _read(file: Path) -> Claim:
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    return parse_claim(file.stem, raw, str(file))


def _contradictions(test: Test) -> Iterator[tuple[str, str]]:
    """Each wrong key with what is allowed; a test that cannot be run yet is not checked."""
    if test.missing:
        return
    if test.kind == Kind.computed:
        if test.check not in CHECKS:
            yield "check", f"allowed: {', '.join(CHECKS)}"
        return
    if test.check:
        yield "check", "only kind=computed checks by code"
    a, b = test.levels
    if not a or test.contrast.count(" - ") > 1:
        yield "contrast", "it must be two levels of the sweep, 'a - b', or one"
    if b is None and test.kind in {*_OF_STEPS, Kind.success}:
        yield "contrast", f"kind={test.kind} compares two levels: 'a - b'"
    units = [*_units(test)]
    if not units:
        yield (
            "measure",
            f"allowed: {', '.join([*names.METRICS, *TO_TARGETS, *TRIAL_OUTCOMES])}, 'x - y' of two, or |x|",
        )
        return
    if len({*units}) > 1:
        yield "measure", f"its two parts have the units {' and '.join(units)}"
    if (test.measure in TO_TARGETS) != (test.kind in _OF_STEPS):
        yield "measure", f"{', '.join(TO_TARGETS)} go with kind=ratio or kind=near, and they with one of them"
    yield from _margin_contradictions(test, units[0])
    if any(names.is_curve(key) for key in parts(test.measure)) != (test.at is not None):
        yield "at", f"a measure along the training needs one of {', '.join(At)}, another has none"
    if (test.statistic == Statistic.value) == bool(test.along):
        yield "along", "it goes with a statistic over several trials of a seed, and such a statistic needs it"
    if test.kind in {*_OF_STEPS, Kind.success} and test.statistic != Statistic.value:
        yield "statistic", f"kind={test.kind} looks at single trials"
    if test.rates != Rates.matched and ("optimizer.lr" in test.along or b is None):
        yield "rates", "allowed: matched, where the statistic runs over learning rates or a single level is tested"
    if test.kind == Kind.near and test.value is None:
        yield "value", "kind=near needs the ratio to compare with"
    if test.statistic in {Statistic.slope, Statistic.log_slope, Statistic.window} and len(test.along) != 1:
        yield "along", f"statistic={test.statistic} runs over one key"


def _margin_contradictions(test: Test, unit: str) -> Iterator[tuple[str, str]]:
    if test.kind not in _NEEDS_MARGIN:
        if test.margin:
            yield "margin", f"kind={test.kind} has none"
        return
    expected = _margin_unit(test, unit)
    if test.margin is None:
        yield "margin", f"kind={test.kind} needs one, in {expected}"
    elif test.margin.unit != expected:
        yield "margin", f"its unit must be {expected}"
    elif test.kind in _NEEDS_MORE_THAN_ZERO and test.margin.value <= (1 if test.kind == Kind.near else 0):
        yield "margin", f"kind={test.kind} needs a margin > {1 if test.kind == Kind.near else 0}"


def _margin_unit(test: Test, unit: str) -> str:
    if test.kind in _OF_STEPS:
        return "times"
    if test.statistic == Statistic.window:
        return "decades"
    return "pp" if unit in {"fraction", "0 or 1"} or test.statistic == Statistic.share else unit


def _units(test: Test) -> Iterable[str]:
    """The unit of each part of the measure; empty if a part is unknown, or has no value where a target was missed."""
    keys = parts(test.measure)
    if any(key.startswith(_OF_HITS) and key not in TO_TARGETS for key in keys):
        return []
    try:
        return ["0 or 1" if key in TRIAL_OUTCOMES else _unit(key) for key in keys]
    except KeyError:
        return []


def _unit(key: str) -> str:
    return "steps" if key in TO_TARGETS else names.metric(key).unit


def parts(measure: str) -> list[str]:
    """The metric keys in a measure: one key, or the two whose difference it is."""
    return [part.strip() for part in measure.strip("|").split(" - ")]


def _rank(id: str) -> tuple[Any, ...]:
    """A sort key for ids in which digits count as numbers, so that C2 comes before C10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", id) if part)
