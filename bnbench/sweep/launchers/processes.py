"""Trains packs in processes of this machine, the same way as on other hosts."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress

from bnbench.sweep.launchers.trainer import Trainer

_LOOK_SECONDS = 0.5
_END_SECONDS = 0.2


class LocalProcesses:
    """As `Workers`: so many interpreters of this machine, which end when the packs are done."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.remedy = "fewer workers: hydra.launcher.workers=1"

    def train(self, packs: Sequence[str]) -> Generator[tuple[int, str], None, None]:
        left: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        answers: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        for numbered in enumerate(packs):
            left.put(numbered)
        stopping = threading.Event()

        def train_some(trainer: Trainer) -> None:
            with suppress(queue.Empty):
                while not stopping.is_set():
                    number, pack = left.get_nowait()
                    answers.put((number, trainer.train(pack)))

        trainers = [Trainer() for _ in range(min(self.count, len(packs)))]
        threads = [threading.Thread(target=train_some, args=(trainer,), daemon=True) for trainer in trainers]
        try:
            for thread in threads:
                thread.start()
            waiting = len(packs)
            while waiting:
                with suppress(queue.Empty):  # looks up now and then, so that a signal is heard
                    yield answers.get(timeout=_LOOK_SECONDS)
                    waiting -= 1
        finally:
            stopping.set()
            for trainer, thread in zip(trainers, threads, strict=True):
                trainer.end()
                while thread.is_alive():  # it may just have started another interpreter
                    thread.join(_END_SECONDS)
                    trainer.end()

    def close(self) -> None:
        pass
