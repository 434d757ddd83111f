"""What has changed since a trial was recorded: the likeliest cause of another digit first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnbench.config import Config, Trial, environment
from bnbench.record.names import Tag
from bnbench.record.results import Recorded, TrialResult
from bnbench.record.sweep_record import Asked, Environment, SweepRecord
from bnbench.sweep.again.since_recorded import changes, likely_cause, notes
from bnbench.sweep.planning.rebuild import Retraining

_NOW = {Tag.DEVICE: "cpu", Tag.CPU_CAPABILITY: "AVX512", Tag.BLAS: "MKL 1", Tag.THREADS: "1"}


@pytest.fixture
def case(make_trial: Callable[..., Trial]) -> Callable[..., Retraining]:
    """A trial recorded here and now, but for what is given."""

    def make(*, key: str = "", versions: Any = None, cpu: str = "", tags: Any = None, values: Any = None) -> Retraining:
        trial = make_trial({"training.engine": "torch"} if values is None else values)
        known = Environment(
            environment.versions() if versions is None else versions,
            git={"commit": "c" * 40},
            hardware={"cpu": cpu or environment.hardware()["cpu"]},
        )
        origin = SweepRecord(Asked("recorded", "1"), known)
        tags = {Tag.DATA_CHECKSUM: "d" * 64, **_NOW, **(tags or {})}
        result = TrialResult(key or trial.key, trial.params, "finished", tags=tags)
        return Retraining(Recorded(result, origin, False), Config(), trial, "d" * 64)

    return make


def test_nothing_has_changed_here_and_now_and_then_the_cause_is_unknown(case: Callable[..., Retraining]) -> None:
    assert changes(case(), _NOW) == []
    assert notes([case()]) == []
    assert likely_cause(case(), _NOW).startswith("unknown: ")


def test_the_likeliest_cause_is_named_first(case: Callable[..., Retraining]) -> None:
    tags = {Tag.DATA_CHECKSUM: "e" * 64, Tag.THREADS: "2", Tag.BLAS: "MKL 0"}
    found = changes(case(versions={"torch": "1.0", "numerics": "1"}, cpu="Z80", tags=tags), _NOW)
    assert [change.what for change in found] == ["data", "numerics version", "torch", "BLAS", "threads", "CPU"]
    assert str(found[0]) == f"checksum of the data {'e' * 12} when recorded, {'d' * 12} now"
    assert [change.in_key for change in found] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("values", "depends"),
    [
        ({"training.engine": "lanes"}, False),
        ({"training.engine": "lanes", "training.measures": ["gradients"]}, True),
        ({"training.engine": "lanes", "model.init": "orthogonal"}, True),
        ({"training.engine": "torch"}, True),
    ],
)
def test_of_the_kernels_only_what_torch_computes_depends_on_the_cpu(
    values: dict[str, Any], depends: bool, case: Callable[..., Retraining]
) -> None:
    of_the_cpu = {Tag.THREADS: "2", Tag.BLAS: "MKL 0", Tag.CPU_CAPABILITY: "AVX2"}
    found = [change.what for change in changes(case(values=values, cpu="Z80", tags=of_the_cpu), _NOW)]
    assert found == (["CPU capability", "BLAS", "threads", "CPU"] if depends else [])


def test_before_training_only_what_is_known_by_then_is_compared(case: Callable[..., Retraining]) -> None:
    assert changes(case(tags={Tag.THREADS: "2", Tag.CPU_CAPABILITY: "AVX2"})) == []
    assert [change.what for change in changes(case(tags={Tag.DEVICE: "H100"}))] == ["device"]


def test_kernels_that_the_environment_asks_for_are_named_before_training(
    case: Callable[..., Retraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = case(tags={Tag.KERNELS: "as the CPU has them"})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    [change] = changes(recorded)
    assert (change.now, change.in_key) == ("ONEDNN_MAX_CPU_ISA=AVX2", True)


def test_another_key_that_nothing_recorded_explains_is_another_numerics_version(
    case: Callable[..., Retraining],
) -> None:
    old = {name: version for name, version in environment.versions().items() if name != "numerics"}
    [change] = changes(case(key="0" * 16, versions=old), _NOW)
    assert (change.what, change.in_key) == ("numerics version", True)
    assert str(change).startswith(f"numerics version of bnbench {old['bnbench']} (commit {'c' * 12}) when recorded, ")
