from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bnbench.record.results import TrialResult
from bnbench.tracking import Spool, TrackingError
from bnbench.tracking.drain import Drain
from bnbench.tracking.store import Store

Make = Callable[..., TrialResult]


class _Flaky:
    """Records in memory, after refusing so many times."""

    def __init__(self, refusals: float = 0) -> None:
        self.refusals = refusals
        self.calls = 0
        self.recorded: list[tuple[str, str | None]] = []

    def record(self, results: list[TrialResult], sweep_run_id: str | None) -> None:
        self.calls += 1
        if self.calls <= self.refusals:
            raise TrackingError("the store is down")
        self.recorded += [(result.key, sweep_run_id) for result in results]


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_results_are_delivered_while_training_goes_on(tmp_path: Path, make_result: Make) -> None:
    recorder, seen = _Flaky(), []
    with Drain(recorder, Spool(tmp_path), "sweep", on_result=lambda r: seen.append(r.key), period_seconds=0.01):
        for seed in range(3):
            Spool(tmp_path).write([make_result(seed), make_result(seed + 10)])
        _wait_for(lambda: len(recorder.recorded) == 6)
    assert {run_id for _, run_id in recorder.recorded} == {"sweep"}
    assert sorted(seen) == sorted(key for key, _ in recorder.recorded)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_comes_between_a_look_and_its_delivery_is_seen(
    tmp_path: Path, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Spool(tmp_path)
    results.write([make_result(1)])
    recorder, seen = _Flaky(), []
    drain = Drain(recorder, results, "sweep", on_result=lambda r: seen.append(r.key))
    pending, listed = Spool.pending, []

    def late(self: Spool) -> list[Path]:
        listed.append(pending(self))
        return listed[-1] if len(listed) > 1 else []  # the look comes first

    monkeypatch.setattr(Spool, "pending", late)
    drain.flush()
    assert [key for key, _ in recorder.recorded] == seen == [*drain.seen]
    assert len(seen) == 1


def test_what_is_left_at_the_end_is_delivered(tmp_path: Path, make_result: Make) -> None:
    recorder = _Flaky()
    with Drain(recorder, Spool(tmp_path), None, period_seconds=1000):
        Spool(tmp_path).write([make_result(0)])
    assert len(recorder.recorded) == 1


def test_files_of_an_earlier_run_are_delivered(tmp_path: Path, make_result: Make) -> None:
    Spool(tmp_path).write([make_result(0)])
    recorder = _Flaky()
    with Drain(recorder, Spool(tmp_path), None):
        pass
    assert len(recorder.recorded) == 1


def test_a_store_that_refuses_for_a_while_gets_everything_once_and_progress_does_not_wait(
    tmp_path: Path, make_result: Make
) -> None:
    recorder, seen = _Flaky(refusals=3), []
    with Drain(recorder, Spool(tmp_path), None, on_result=lambda r: seen.append(r.key), period_seconds=0.01):
        Spool(tmp_path).write([make_result(0)])
        _wait_for(lambda: recorder.calls == 1)
        assert len(seen) == 1
        _wait_for(lambda: len(recorder.recorded) == 1)
    assert len(seen) == 1
    assert recorder.calls == 4


def test_a_store_that_stays_down_keeps_the_files_and_the_error_says_where(tmp_path: Path, make_result: Make) -> None:
    for seed in range(5):
        Spool(tmp_path).write([make_result(seed)])
    with (
        pytest.raises(TrackingError) as caught,
        Drain(_Flaky(refusals=float("inf")), Spool(tmp_path), patience_seconds=0),
    ):
        pass
    assert len(Spool(tmp_path).pending()) == 5
    assert str(caught.value) == (
        f"5 file(s) of finished results could not be recorded and are kept in {tmp_path}; "
        "`python -m bnbench sync`, or the next start, delivers them: the store is down"
    )


def test_a_file_that_is_refused_does_not_hold_up_the_others(tmp_path: Path, make_result: Make) -> None:
    class Picky(_Flaky):
        def record(self, results: list[TrialResult], sweep_run_id: str | None) -> None:
            if results[0].params["seed"] == 0:
                raise TrackingError("not this one")
            super().record(results, sweep_run_id)

    recorder = Picky()
    for seed in range(3):
        Spool(tmp_path).write([make_result(seed)])
    with pytest.raises(TrackingError, match="1 file"), Drain(recorder, Spool(tmp_path), patience_seconds=0):
        pass
    assert len(recorder.recorded) == 2


def test_what_ended_the_training_is_not_hidden_by_what_could_not_be_delivered(
    tmp_path: Path, make_result: Make
) -> None:
    Spool(tmp_path).write([make_result(0)])
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        Drain(_Flaky(refusals=float("inf")), Spool(tmp_path), patience_seconds=0),
    ):
        raise KeyboardInterrupt
    assert "kept in" in caught.value.__notes__[0]


def test_a_damaged_file_is_set_aside_and_reported_and_the_others_are_delivered(
    tmp_path: Path, make_result: Make
) -> None:
    (tmp_path / "bad.jsonl").write_text("{")
    Spool(tmp_path).write([make_result(0)])
    recorder = _Flaky()
    with (
        pytest.raises(TrackingError, match=r"set aside: .*bad\.jsonl\.corrupt"),
        Drain(recorder, Spool(tmp_path), None),
    ):
        pass
    assert len(recorder.recorded) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl.corrupt"]


def test_a_number_that_is_not_finite_is_set_aside_not_tried_for_ever(
    store: Store, tmp_path: Path, make_result: Make
) -> None:
    text = make_result(0, metrics={"test/acc": 0.5}).to_json().replace('"test/acc": 0.5', '"test/acc": NaN')
    (tmp_path / "nan.jsonl").write_text(text)
    with (
        pytest.raises(TrackingError, match=r"nan\.jsonl\.corrupt .*only finite"),
        Drain(store, Spool(tmp_path), None),
    ):
        pass


def test_a_pack_is_recorded_in_the_store_and_forgotten_by_the_spool(
    store: Store, tmp_path: Path, make_result: Make
) -> None:
    results = [make_result(seed) for seed in range(3)]
    with Drain(store, Spool(tmp_path), None, period_seconds=0.01):
        Spool(tmp_path).write(results)
        _wait_for(lambda: not Spool(tmp_path).pending())
    assert store.finished().keys() == {result.key for result in results}
