"""What every engine offers that packs are sent to: how many it trains at once, and a way to have them trained."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol


class Workers(Protocol):
    """Where packs are trained: on any host, each as the JSON text that `send_packs` writes and `remote` reads.

    Attributes:
        count: How many packs are trained at once.
        remedy: What to set where they are killed again and again.
    """

    count: int
    remedy: str

    def train(self, packs: Sequence[str]) -> Generator[tuple[int, str], None, None]:
        """Each pack's place among `packs` with the answer to it, as they come: once for each pack.

        The answer is what `remote` writes, or `lost_answer`. Whoever closes the iterator before its end has all that
        still waits or trains ended.
        """

    def close(self) -> None:
        """Leave the engine; what it still trains for this process is ended."""


def lost_answer(why: str, host: str | None = None) -> str:
    """The answer to a pack whose worker was killed, or lost with its host.

    Args:
        why: In words.
        host: Where; empty where nobody knows, None for this one.
    """
    return json.dumps({"host": socket.gethostname() if host is None else host, "lost": why})


@contextmanager
def own_handlers_kept() -> Iterator[None]:
    """Have the handlers of signals afterwards that there were before, whatever a library puts in their place."""
    if threading.current_thread() is not threading.main_thread():  # where none can be set
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
