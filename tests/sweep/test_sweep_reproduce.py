"""A sweep comes out again from its record alone, and where it does not, the first digit and its cause are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

import bnbench
from bnbench.config import ConfigError, environment
from bnbench.config.workspace import Workspace
from bnbench.record.names import CONDITIONS, Tag
from bnbench.report import Contents, write_report
from bnbench.report.manifest import read_manifest
from bnbench.sweep.again.reproduce import reproduce
from bnbench.sweep.hydra_session import hydra_sweep
from bnbench.sweep.running.failure import SweepFailedError
from bnbench.tracking import Store, TrackingError


@pytest.fixture(scope="module", autouse=True)
def no_pages() -> Iterator[None]:
    """Of a report only its data, which is all that is read here."""

    def write(said: Contents, folder: Path, formats: Sequence[str]) -> dict[str, Path]:
        return write_report(said, folder, ["csv"]) | {"report.html": folder / "trials.csv"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bnbench.report.write_report", write)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With and without batch norm, undefined at batch size 1; one rate at which networks diverge."""
    folder = tmp_path_factory.mktemp("my runs")
    words = ["data=digits", "model.width=8", "norm=none,batch", "training.batch_size=1,8"]
    more = ["training.steps=6", "optimizer.lr=0.1,1e25", "training.targets=[0.2]"]
    bnbench.run(*words, *more, "hydra.launcher.n_jobs=1", f'runs_dir="{folder}"')
    return folder


@pytest.fixture
def record(runs: Path, tmp_path: Path) -> Path:
    """A copy of the sweep's files, to be changed."""
    [folder] = runs.glob("trial-*")
    shutil.copytree(folder, tmp_path / "record")
    return tmp_path / "record" / "manifest.json"


class Said(NamedTuple):
    """What the user reads: the lines, and the error at the end, if any."""

    lines: list[str]
    error: str = ""


@pytest.fixture
def again(tmp_path: Path) -> Callable[..., Said]:
    """Reproduces in this process."""

    def run(source: object, *words: str, sample: int | None = None, into: Path | None = None) -> Said:
        lines: list[str] = []
        with hydra_sweep(["hydra.launcher.n_jobs=1", f'runs_dir="{tmp_path / "runs"}"', *words]) as hydra:
            try:
                reproduce(str(source), hydra, sample, into, say=lines.append)
            except SweepFailedError as error:
                return Said(lines, str(error))
        return Said(lines)

    return run


def _change(manifest: Path, **values: Any) -> None:
    meta = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(meta | {key: {**meta[key], **value} for key, value in values.items()}))


def test_a_sweep_is_identical_in_packs_and_what_was_recorded_stays_as_it_was(
    runs: Path, again: Callable[..., Said]
) -> None:
    setting = f'runs_dir="{runs}"'
    before = bnbench.load("latest", setting).table
    said = again("latest", setting)
    assert (said.lines[-1], said.error) == ("identical", "")
    title = f"trial-{before.record.asked.id}"
    folder = runs / "reproduced" / f"{title}-1"
    assert said.lines[0] == f"{title}: 8 of 8 trials again, into {folder}"
    after = bnbench.load("latest", setting).table
    pd.testing.assert_frame_equal(after.trials, before.trials)
    reproduced = after.record.found_out.reproduced
    assert reproduced is not None
    assert (reproduced.trials, reproduced.identical) == (8, 8)
    new = bnbench.load("latest", f'runs_dir="{folder}"').table
    assert set(new.trials["status"]) == {"finished", "diverged", "undefined"}
    pd.testing.assert_frame_equal(new.trials, before.trials)
    pd.testing.assert_frame_equal(new.curves, before.curves)
    assert new.record.asked.id != before.record.asked.id
    assert f"trained {title} again" in new.record.asked.notes[0]


def test_a_manifest_holds_what_the_store_holds(runs: Path, record: Path) -> None:
    stored_record, trials = Store.open(Workspace.at(runs), create=False).recorded("latest")
    read, from_file = read_manifest(record)
    assert (read.asked, read.plan) == (stored_record.asked, stored_record.plan)
    for stored, filed in zip(trials, from_file, strict=True):
        given = {key: value for key, value in stored.result.params.items() if value is not None}
        assert filed.result.params == given
        if stored.trained:
            assert filed.result.tags == {tag: stored.result.tags[tag] for tag in (Tag.DATA_CHECKSUM, *CONDITIONS)}
        for name in ("key", "status", "reason", "metrics", "curves", "diverged_step"):
            assert getattr(filed.result, name) == getattr(stored.result, name), name


def test_a_digit_that_differs_is_named_with_its_trial_and_step(record: Path, again: Callable[..., Said]) -> None:
    text = (record.parent / "curves.csv").read_text().splitlines()
    key, step, examples, *values = text[-1].split(",")
    column = text[0].split(",").index("val/loss")
    values[column - 3] = repr(float(values[column - 3]) * (1 + 1e-15))
    (record.parent / "curves.csv").write_text("\n".join([*text[:-1], ",".join([key, step, examples, *values])]))
    said = again(record)
    assert said.lines[-1] != "identical"
    first, cause = said.error.splitlines()
    trial = next(r.result for r in read_manifest(record)[1] if r.result.key == key)
    assert first.startswith("1 trial of 8 gave other digits, first ")
    assert f"batch_size={trial.params['training.batch_size']}: val/loss at step {step}: recorded " in first
    assert f" recorded {values[column - 3]}, now " in first
    assert cause.startswith("likely cause: unknown: data, numerics version, torch, threads, BLAS and CPU are as ")


def test_what_has_changed_is_said_before_training_and_as_the_cause(record: Path, again: Callable[..., Said]) -> None:
    here = environment.versions()
    _change(record, versions={"torch": "1.0", "numpy": "9.9"}, conditions={"threads": ["2"]})
    csv = pd.read_csv(record.parent / "trials.csv", dtype={"diverged_step": "Int64"})
    csv["parameters/trainable"] += 1
    csv.to_csv(record.parent / "trials.csv", index=False)
    said = again(record, sample=2)
    assert said.lines[1].startswith(f"torch 1.0 when recorded, {here['torch']} now: its kernels may round otherwise")
    assert said.lines[2].startswith(f"numpy 9.9 when recorded, {here['numpy']} now: where digits differ")
    cause = said.error.splitlines()[1]
    assert cause.startswith(f"likely cause: torch 1.0 when recorded, {here['torch']} now (also: numpy 9.9 ")
    assert "threads" not in cause, "the kernels use one"


def test_other_images_are_said_before_training(record: Path, again: Callable[..., Said]) -> None:
    written = json.loads(record.read_text())
    written["data"][0]["checksum"] = "f" * 64 + ":" + "0" * 64
    written["trials"] = [{**trial, "key": trial["key"][::-1]} for trial in written["trials"]]
    for name in ("trials.csv", "curves.csv"):
        text = (record.parent / name).read_text()
        for trial in written["trials"]:
            text = text.replace(trial["key"][::-1], trial["key"])
        (record.parent / name).write_text(text)
    record.write_text(json.dumps(written))
    said = again(record, sample=1)
    assert said.lines[1].startswith("checksum of the data ffffffffffff when recorded, ")
    assert said.lines[1].endswith(" now: other images give other numbers")
    assert said.lines[-1] == "identical", "they were not, and the numbers tell"


def test_a_trial_that_fails_now_is_another_result(
    record: Path, again: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no memory left")

    monkeypatch.setattr("bnbench.training.fit.fit", fit)
    said = again(record, sample=1)
    assert "now failed: RuntimeError: no memory left" in said.error


# Refusing.


def test_what_cannot_be_reproduced_is_answered_in_one_line(
    record: Path, again: Callable[..., Said], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"--into .*record is not empty; a sweep is reproduced into a folder of its"):
        again(record, into=record.parent)
    with pytest.raises(TrackingError, match="nothing is recorded in"):
        again("placement")
    with pytest.raises(ConfigError, match=r"nowhere.json cannot be read with trials.csv and curves.csv beside it \("):
        again(tmp_path / "nowhere.json")
    (record.parent / "curves.csv").unlink()
    with pytest.raises(ConfigError, match=r"curves.csv.*; python -m bnbench report SWEEP writes all three again$"):
        again(record)
    assert not (tmp_path / "runs" / "reproduced").exists()


def test_conditions_of_a_mixed_sweep_stand_together(record: Path) -> None:
    _change(record, conditions={"cpu_capability": ["AVX2", "AVX512"]})
    assert {r.result.tags[Tag.CPU_CAPABILITY] for r in read_manifest(record)[1]} == {"AVX2 and AVX512"}
