"""`python -m bnbench card`: a norm put through a battery of sweeps beside others, within one budget of minutes."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.cli.parser import VerbParser
from bnbench.config import Config, ConfigError

if TYPE_CHECKING:
    from bnbench.report.card import CardRow
    from bnbench.report.card_page import Card
    from bnbench.sweep.planning.battery import Part
    from bnbench.sweep.running.published import Sweep

_KEYS = ("card.minutes", "card.parts")
_DECIDED = ("seed", "sweep.name", "sweep.question", "sweep.compare", "sweep.contrasts", "sweep.axis", "sweep.until")
_DECIDED_MINUTES = "sweep.max_minutes"
_MODELS = ("fc", "cnn")
_MINUTES = 10.0
_BESIDE_TRAINING = 10.0
"""Seconds that a sweep takes besides its training: to start workers and to write its report."""
_LEAST = 0.1  # seconds, where nothing is left: enough for a part of which all is trained


def main(words: Sequence[str]) -> None:
    """Train the battery and write the card; the same command again goes on where it stopped."""
    parser = VerbParser("card", keys=["*"])
    request = parser.read(words)
    asked = _Asked.read(request.settings)
    from bnbench.sweep.hydra_session import compose_one

    config = compose_one([*asked.own, *(word for key, word in asked.typed.items() if key != "optimizer.lr")])
    if config.model.name not in _MODELS:
        raise ConfigError(
            f"model={config.model.name} is not for card, which varies depth and initial weights; allowed: "
            + ", ".join(_MODELS)
        )
    if config.norm.name == "none":
        raise ConfigError("norm=none is no norm to make a card of; give norm.factory=package.module:function or norm=…")
    _check_norm(config)
    _Battery(asked, config, shlex.join(["python", "-m", "bnbench", "card", *words])).run()


def _check_norm(config: Config) -> None:
    """See that a norm of the user's own can be made, before anything is planned."""
    if config.norm.name == "custom":
        from bnbench.norms.custom_norm import make_custom_norm

        make_custom_norm(config.norm, 16)


@dataclass(frozen=True)
class _Asked:
    """What the words ask for.

    Attributes:
        own: The words of the norm's arm.
        typed: The other words of the configuration, by key.
        minutes: The budget.
        parts: The names of the parts to run; empty for all.
    """

    own: list[str]
    typed: Mapping[str, str]
    minutes: float
    parts: list[str]

    @classmethod
    def read(cls, settings: Sequence[str]) -> _Asked:
        """Sort the words.

        Raises:
            ConfigError: If a norm is missing, a word is of a key that the battery decides, or has several values.
        """
        from bnbench.sweep.planning.battery import PARTS
        from bnbench.sweep.planning.grid import parse_override

        words = {word.partition("=")[0].lstrip("+"): word for word in settings}
        own = [words.pop(key) for key in ("norm", "norm.factory") if key in words]
        if not own:
            raise ConfigError("card needs a norm; give norm.factory=package.module:function, or norm=layer")
        if own[0].startswith("norm.factory="):
            own.insert(0, "norm=custom")
        minutes = _minutes(words.pop("card.minutes", f"card.minutes={_MINUTES:g}"))
        names = [part.name for part in PARTS]
        _, _, chosen = words.pop("card.parts", "").partition("=")
        parts = [name for name in chosen.strip("[]").split(",") if name]
        for name in parts:
            if name not in names:
                raise ConfigError(f"card.parts={name} is unknown; allowed: {', '.join(names)}, several with commas")
        for key, word in words.items():
            if key.startswith("card."):
                raise ConfigError(f"{word} is unknown; allowed: {', '.join(f'{one}=…' for one in _KEYS)}")
            if key == _DECIDED_MINUTES:
                raise ConfigError(f"{word} is not for card, which divides its own; give card.minutes={_value(word)}")
            axes = [part.axis for part in PARTS if part.name in (parts or names) and not part.windows]
            if key in (*_DECIDED, *axes):
                raise ConfigError(f"{word} is not for card, whose battery decides {key}; leave it out")
        for key, word in [*words.items(), *((word.partition("=")[0], word) for word in own)]:
            if key != "optimizer.lr" and parse_override(word, "the command line").is_sweep_override():
                raise ConfigError(f"{word} has several values, and a card is of one norm in one setting; give one")
        return cls(own, words, minutes, parts)


def _value(word: str) -> str:
    return word.partition("=")[2]


def _minutes(word: str) -> float:
    try:
        minutes = float(_value(word))
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise ConfigError(f"{word} is not allowed; it must be a number of minutes > 0")
    return minutes


@dataclass
class _Battery:
    """The sweeps of a card, one after the other within its budget, and what they found so far."""

    asked: _Asked
    config: Config
    command: str
    rows: dict[str, list[CardRow]] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)  # for lack of time, by part
    slower: float = 1.0  # than estimated, by what a part took beyond its share

    def __post_init__(self) -> None:
        from bnbench.sweep.planning.battery import OTHERS, PARTS

        self.own = _value(self.asked.own[0])
        self.others = [name for name in OTHERS if name != self.own]
        self.parts = [part for part in PARTS if part.name in (self.asked.parts or [one.name for one in PARTS])]
        self.norm = self.config.norm.factory if self.own == "custom" else f"{self.own} norm"
        self.folder = Path(self.config.runs_dir) / "card-{}".format(re.sub(r"[^\w.]+", "-", str(self.norm)))
        self.started = time.monotonic()

    def run(self) -> None:
        """Train each part as far as its share of what is left of the budget goes, and write the card after each.

        Raises:
            ConfigError: If no part fits into the budget; before anything is trained.
            SweepFailedError: After the last part, if trials of any failed.
        """
        from bnbench.sweep.planning.describe import duration
        from bnbench.sweep.running.failure import SweepFailedError
        from bnbench.sweep.running.time_limit import TooLongError

        failed: list[str] = []
        too_long: dict[str, float] = {}
        left_out = [*self.parts]
        while left_out:  # a second time for those whose share was too small, the shortest first, with all that is left
            todo, left_out = sorted(left_out, key=lambda part: too_long.get(part.name, 0.0)), []
            for number, part in enumerate(todo):
                among = 1 if part.name in too_long else len(todo) - number
                share = max(_LEAST, self._left / among - _BESIDE_TRAINING)
                print(f"\n{part.title} ({self.parts.index(part) + 1} of {len(self.parts)})", flush=True)
                try:
                    sweep = self._train(part, share)
                except TooLongError as error:
                    left_out.append(part)
                    too_long[part.name] = error.seconds
                    print(f"  {error}, and has {duration(share)} for now", flush=True)
                    continue
                except SweepFailedError as error:
                    failed.append(f"{part.name}: {error}")
                    self._found(part, [self._untried(part, str(error).splitlines()[0])])
                    continue
                if sweep is not None:
                    self._found(part, self._read(part, sweep))
            if len(left_out) == len(todo) or self._left < _BESIDE_TRAINING:
                break
        if self.config.plan_only:
            return
        if len(left_out) == len(self.parts):
            least = min(too_long.values()) + _BESIDE_TRAINING
            raise ConfigError(
                f"card.minutes={self.asked.minutes:g} is too short for any part of the card: the shortest takes "
                f"about {duration(least)}; give more minutes, fewer training.steps, or one of card.parts=…"
            )
        for part in left_out:
            self._found(part, [self._untried(part, f"takes about {duration(too_long[part.name])} to its first answer")])
        self._say()
        if failed:
            raise SweepFailedError("\n".join(failed))

    @property
    def _left(self) -> float:
        """Seconds of the budget that are left."""
        return 60 * self.asked.minutes - (time.monotonic() - self.started)

    def _train(self, part: Part, seconds: float) -> Sweep | None:
        from bnbench.sweep.hydra_session import hydra_sweep
        from bnbench.sweep.running.run import run_sweep

        begun = time.monotonic()
        words = part.overrides(self.asked.own, self.others, self.config.model.name, self.asked.typed)
        if not part.windows:
            words.append(f"sweep.max_minutes={seconds / 60:.4g}")
        with hydra_sweep(words) as hydra:
            task = [*hydra.config.hydra.overrides.task]
            sweep = run_sweep(
                hydra, task, say=self._speaker(part), command=task, most_seconds=seconds, slower=self.slower
            )
        self.slower = max(self.slower, (time.monotonic() - begun) / (seconds + _BESIDE_TRAINING))
        return sweep

    def _speaker(self, part: Part) -> Callable[[str], None]:
        """Where the lines of a sweep go: a plan to the terminal, the rest into a file beside the card."""
        from bnbench.sweep.running.time_limit import NO_TIME

        if self.config.plan_only:
            return print

        def say(text: str) -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "sweeps.txt").open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")
            if NO_TIME in text:
                self.left_out.setdefault(part.name, []).append(text.partition(" (")[0])

        return say

    def _read(self, part: Part, sweep: Sweep) -> list[CardRow]:
        from bnbench.report.card import accuracy_rows, window_rows
        from bnbench.report.provenance import facts

        known = dict(facts(sweep.table))
        self.conditions = {
            name: known[name] for name in known if name in ("Versions", "Code", "Hardware") or name.startswith("Data")
        }
        analysis = sweep.contents.analysis
        if part.windows:
            return window_rows(analysis, part.title, self.own)
        return accuracy_rows(analysis, part.title, part.axis, self.own)

    def _untried(self, part: Part, why: str) -> CardRow:
        from bnbench.report.card import untried_row

        return untried_row(part.title, why)

    def _found(self, part: Part, rows: list[CardRow]) -> None:
        """Add what a part found, say it, and write the card so far."""
        from bnbench.report.card_page import write_card

        self.rows[part.name] = rows
        for row in rows:
            print(f"  {': '.join(filter(None, [row.setting, str(row.verdict)]))}", flush=True)
        write_card(self._card(), self.folder)

    def _card(self) -> Card:
        from bnbench.report.card import Verdict
        from bnbench.report.card_page import Card
        from bnbench.sweep.planning.battery import TUNED

        def value(key: str) -> str:
            return _value(self.asked.typed.get(key, f"={TUNED[key]}"))

        margin = f"{value('sweep.margin_pp')} pp"
        setup = (
            f"{self.config.model.name} on {self.config.data.name}, {value('training.steps')} steps a training, "
            f"{value('optimizer')}; up to {value('sweep.max_seeds')} paired seeds a norm beside those that choose "
            f"learning rates; differences within {margin} do not matter. "
            f"{self.asked.minutes:g} minutes in all."
        )
        left_out = [
            f"{part.title.lower()}: {'; '.join(self.left_out.get(part.name, [])) or 'not tried'}"
            for part in self.parts
            if part.name in self.left_out or any(row.verdict == Verdict.untried for row in self.rows.get(part.name, []))
        ]
        ordered = [row for part in self.parts for row in self.rows.get(part.name, [])]
        return Card(
            str(self.norm),
            self.own,
            self.others,
            self.command,
            setup,
            self.asked.minutes,
            margin,
            ordered,
            self.conditions,
            left_out,
        )

    def _say(self) -> None:
        from bnbench.report.card_page import terminal_card

        print(f"\n{terminal_card(self._card(), max(100, shutil.get_terminal_size((160, 24)).columns))}\n")
        print(f"card: {self.folder / 'card.html'} (and card.json, sweeps.txt)")
