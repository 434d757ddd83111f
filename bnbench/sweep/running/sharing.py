"""Trains a plan beside other sweeps on the same store: what one of them trains is left to it as long as it lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Set
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from bnbench.sweep.planning.describe import count
from bnbench.sweep.running.progress import ProgressLine
from bnbench.tracking import TrackingError

if TYPE_CHECKING:
    from bnbench.tracking import Holder, Leases

_LOOK_SECONDS = 3.0
_MOST_SHARE = 0.05  # of the time goes into counting what is done, at most


def train_shared(
    keys: Set[str],
    train: Callable[[Set[str]], None],
    leases: Leases,
    finished: Callable[[], Collection[str]],
    say: Callable[[str], None],
) -> set[str]:
    """See that each of these trials has a result or was trained here; gives those that others have trained.

    Args:
        keys: The trials'.
        train: Trains some of them, and returns once their results are in the store; called at least once.
        leases: What the sweep takes of trials.
        finished: Reads the keys of all trials that have results.
        say: Where lines for the user go.

    Raises:
        TrackingError: If the store does not do as asked.
    """
    left, elsewhere = {*keys}, set[str]()
    if not left:
        train(left)
    while left:
        held = leases.take(left)
        done = left.intersection(finished())  # read after that: who gives a trial back has recorded it before
        held = {key: one for key, one in held.items() if key not in done}
        for shown, number in _by_holder(held).items():
            say(f"{count(number, 'trial')} left to {shown}, which trains them")
        train(left - done - held.keys())
        with suppress(TrackingError):  # then others wait until this sweep takes the next trials, or ends
            leases.give_back()
        elsewhere |= done
        left = wait_for(held, leases, finished) if held else set()
        elsewhere |= held.keys() - left
        if left:
            say(f"no sweep trains all of the {count(len(left), 'trial')} left any more; this one goes on with them")
    return elsewhere


def wait_for(held: Mapping[str, Holder], leases: Leases, finished: Callable[[], Collection[str]]) -> set[str]:
    """Wait until trials that others train have results; gives those that have none, once some are nobody's."""
    with _Waiting(held) as waiting:
        while waiting.left:
            sleep(_LOOK_SECONDS)
            try:
                waiting.held = leases.held()
                nobodys = waiting.left - waiting.held.keys()
                if nobodys or waiting.counts_again:
                    waiting.count(finished)
                waiting.answered = True
            except TrackingError:  # it is asked again, as it is for results to be recorded
                waiting.answered = False
            else:
                if waiting.left & nobodys:
                    break
        return waiting.left


class _Waiting(ProgressLine):
    """Shows what is waited for.

    Attributes:
        left: The trials without a result.
        held: What other sweeps hold.
        answered: Whether the store has answered when it was last asked.
    """

    def __init__(self, held: Mapping[str, Holder]) -> None:
        super().__init__()
        self.left = {*held}
        self.held = held
        self.answered = True
        self._trials = len(held)
        self._next_count = monotonic()

    @property
    def counts_again(self) -> bool:
        """Whether it is time to count what is done."""
        return monotonic() >= self._next_count

    def count(self, finished: Callable[[], Collection[str]]) -> None:
        began = monotonic()
        self.left = self.left.difference(finished())
        now = monotonic()
        self._next_count = now + (now - began) / _MOST_SHARE

    def look(self) -> tuple[float, str]:
        done, trials = self._trials - len(self.left), count(self._trials, "trial")
        holders = _by_holder({key: one for key, one in self.held.items() if key in self.left})
        who = (" and ".join(holders) or "others") if self.answered else "the tracking store, which does not answer"
        return done / self._trials, f"waits for {who}: {done} of {trials} done"


def _by_holder(held: Mapping[str, Holder]) -> dict[str, int]:
    """How many trials each sweep holds."""
    return dict(Counter(one.shown for one in held.values()))
