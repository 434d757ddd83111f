"""Several sweeps one after another, trials shared between them by their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bnbench.config import ConfigError
from bnbench.sweep.planning.describe import count
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.request import chosen_file
from bnbench.sweep.running.failure import SweepFailedError
from bnbench.sweep.running.run import run_sweep

if TYPE_CHECKING:
    from bnbench.sweep.running.published import Sweep


def run_parts(
    hydra: HydraSweep,
    command_line: Sequence[str],
    *,
    say: Callable[[str], None] = print,
) -> Sweep | None:
    """`run_sweep`; where the sweep names `sweep.parts`, each of those, as if it had been typed in its place.

    Every part is composed before the first one trains; one that has failed trials does not keep the others from being
    run. The last part's sweep is returned.

    Raises:
        ConfigError: As `run_sweep`, or if a part has parts of its own.
        SweepFailedError: After the last part, if trials of any failed.
    """
    chosen_file(command_line)  # of several, one with parts would keep the others from being run
    names = hydra.settings.sweep.parts
    if not names:
        return run_sweep(hydra, command_line, say=say)
    parts = [_part(hydra, name, command_line) for name in names]
    last, failed = None, []
    for number, (name, part) in enumerate(zip(names, parts, strict=True), 1):
        say(f"\n[{number} of {count(len(names), 'sweep')}]")
        try:
            last = run_sweep(part, [*part.config.hydra.overrides.task], say=say)
        except SweepFailedError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise SweepFailedError("\n".join(failed))
    return last


def _part(hydra: HydraSweep, name: str, command_line: Sequence[str]) -> HydraSweep:
    """The sweep as Hydra composes it when it is typed in place of the one that names it."""
    other_words = [word for word in command_line if not word.startswith(("+sweep=", "sweep.parts=", "sweep.name="))]
    part = hydra.typed_instead([f"+sweep={name}", *other_words])
    if part.config.sweep.parts:
        raise ConfigError(f"sweep.parts={name} has parts of its own; name those")
    return part
