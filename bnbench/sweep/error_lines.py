"""Turns an exception into one clear line for the user, and an exit status."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnbench.config import ConfigError
from bnbench.data import DataError
from bnbench.sweep.planning.compose import explained
from bnbench.tracking import TrackingError, UndeliveredError

OWN_ERRORS = (ConfigError, DataError, TrackingError)
"""bnbench's answers to a user's mistake: their lines are the answer."""


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_CTRL_C, _SIGTERM = 130, 143  # 128 and the signal's number, as shells have it
INTERRUPTED = {_CTRL_C, _SIGTERM}
"""The exit statuses of what was told to end."""


def exit_status(action: Callable[[], None]) -> int:
    """Run `action`, and say how it went.

    Returns:
        0 if it went well, 1 if trials failed or could not be recorded yet, 2 on bad input, 130 on Ctrl-C, 143 on
        SIGTERM.

    Bad input is answered on stderr with one line for each error, never with a traceback.
    """
    from bnbench.sweep.running.failure import SweepFailedError
    from bnbench.sweep.running.interruption import Terminated, terminable

    try:
        with terminable():
            action()
    except KeyboardInterrupt as interrupt:
        notes = getattr(interrupt, "__notes__", [])  # where results that could not be recorded are kept
        print(
            "interrupted; the same command again trains only what is missing",
            *notes,
            sep="\n",
            file=sys.stderr,
        )
        return _SIGTERM if isinstance(interrupt, Terminated) else _CTRL_C
    except (SweepFailedError, UndeliveredError) as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains as it exits
        return 0
    except Exception as error:
        lines = bad_input(error)
        if lines is None:
            raise
        print("\n".join(lines), file=sys.stderr)
        return 2
    return 0


def bad_input(error: BaseException) -> list[str] | None:
    """The lines that answer a user's mistake; None if the exception is no such thing."""
    if isinstance(error, OWN_ERRORS):
        return [*str(error).splitlines(), *getattr(error, "__notes__", [])]
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
        return [f"{where} ({error.strerror}); make room or set runs_dir to another place; what was trained is kept"]
    if isinstance(error, MissingConfigException):
        return [_missing(error)]
    if isinstance(error, ConfigCompositionException) and "not in 'SweepConfig'" in str(error):
        return [f"{_flat(error)}; a sweep file's first line must be '# @package _global_'"]
    if isinstance(error, YAMLError):
        return [f"a configuration file is not YAML: {' '.join(str(error).split())}"]
    if isinstance(error, HydraException | OmegaConfBaseException):
        return [_flat(error)]
    if isinstance(error, ValueError | TypeError | AssertionError) and _raised_by_hydra(error):
        message = _flat(error).partition(": Override(")[0] or "a word is no override"
        return [f"{message}; give KEY=VALUE, with a text as a group's value"]
    return None


def _raised_by_hydra(error: BaseException) -> bool:
    """Whether it comes from Hydra's own code, which answers some words so that are no overrides, such as `=0`."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals["__name__"].partition(".")[0] == "hydra"


def _missing(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return _flat(error)
    plus = "+" if group == "sweep" else ""
    return f"{plus}{group}={name} is unknown; allowed: {', '.join(sorted(error.options))}"


def _flat(error: BaseException) -> str:
    """Hydra's and OmegaConf's several lines as one, without their notes on types."""
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        error = cause
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key}: {explained(error)}" if error.full_key else explained(error)
    notes = ("full_key:", "object_type=", "reference_type=", "See https")
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(notes))
