from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bnbench.sweep.running.finish import sweep_folder

_NAMES = st.text() | st.sampled_from(["..", "../..", "/etc", "a/../../b", "a\0b", "~", ".", "", "mlflow.db", "x" * 500])


@given(name=_NAMES, id=st.sampled_from(["0a1b2c3d", "..", "/x", ""]))
def test_no_name_leads_out_of_runs_dir(name: str, id: str) -> None:
    runs_dir = Path("/somewhere/runs")
    folder = sweep_folder(runs_dir, name, id)
    assert folder.parent == runs_dir
    assert folder.resolve().parent == runs_dir.resolve()
    assert not folder.name.startswith(".")
    assert len(folder.name.encode()) <= 255
    assert "\0" not in folder.name
    assert folder.name not in {"latest", "spool", "cache", "artifacts", "mlflow.db"}


def test_an_ordinary_name_is_kept() -> None:
    assert sweep_folder(Path("runs"), "placement+batch_size", "0a1b2c3d") == Path("runs/placement+batch_size-0a1b2c3d")
