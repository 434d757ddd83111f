"""What an exception says to the user: one clear line, and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from bnbench.config import ConfigError
from bnbench.data import DataError
from bnbench.tracking import TrackingError

__all__ = ["bad_input", "exit_status"]


def exit_status(action: Callable[[], None]) -> int:
    """Run `action`; 0 if it went well, 1 if trials failed, 2 on bad input, 130 on Ctrl-C.

    Bad input is answered on stderr with one line for each error, never with a traceback.
    """
    from bnbench.sweep.failure import SweepFailedError

    try:
        action()
    except KeyboardInterrupt as interrupt:
        notes = getattr(interrupt, "__notes__", [])  # where results that could not be recorded are kept
        print(
            "interrupted; the same command again trains only what is missing",
            *notes,
            sep="\n",
            file=sys.stderr,
        )
        return 130
    except SweepFailedError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        lines = bad_input(error)
        if lines is None:
            raise
        print("\n".join(lines), file=sys.stderr)
        return 2
    return 0


def bad_input(error: BaseException) -> list[str] | None:
    """The lines that answer a user's mistake; None if the exception is no such thing."""
    if isinstance(error, ConfigError | DataError | TrackingError):
        return str(error).splitlines()
    if isinstance(error, MissingConfigException):
        return [_missing(error)]
    if isinstance(error, HydraException | OmegaConfBaseException):
        return [_flat(error)]
    return None


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
    notes = ("full_key:", "object_type=", "reference_type=", "See https")
    lines = [line.strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(notes))
    key = getattr(error, "full_key", None)
    return f"{key}: {text}" if key else text
