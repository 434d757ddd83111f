"""What the build hook puts into a wheel that is built from the sdist."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bnbench.lanes.build_hook import LanesHook
from bnbench.lanes.compiling import compile_libraries, libraries, library_file, note_file, sources_digest

ROOT = Path(__file__).resolve().parents[2]

# What stands in for the kernels.
SOURCE = """
extern "C" int lanes_of_a_vector() {
#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
  return 16;
#elif defined(__AVX2__) && defined(__FMA__)
  return 8;
#else
  return 4;
#endif
}
"""

# Writes what it was told to do where the library should be, or complains; a compiler to hatchling and the hook.
STAND_IN = """
import os, sys
if os.environ["STAND_IN"] == "fails":
    sys.exit("lanes.cpp:7:1: error: expected a number")
with open(sys.argv[sys.argv.index("-o") + 1], "w") as file:
    print(*sys.argv, file=file)
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with the stand-in."""
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "lanes.cpp").write_text(SOURCE)
    return folder


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A `ziglang` that is not one, for this process and those it starts."""
    (tmp_path / "stand_in" / "ziglang").mkdir(parents=True)
    (tmp_path / "stand_in" / "ziglang" / "__init__.py").touch()
    (tmp_path / "stand_in" / "ziglang" / "__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand_in"), prepend=os.pathsep)
    monkeypatch.setenv("STAND_IN", "works")
    monkeypatch.syspath_prepend(tmp_path / "stand_in")
    return monkeypatch


def build(target: str, project: Path, into: Path) -> tuple[Path, str]:
    """Hatchling's sdist or wheel of a project, and what it said."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    (made,) = into.iterdir()
    return made, done.stdout + done.stderr


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The sdist of this checkout, unpacked, with the stand-in for sources."""
    archive, _ = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(archive) as file:
        assert [name for name in file.getnames() if "/lanes/lib/" in name] == []
        file.extractall(tmp_path / "unpacked", filter="data")
    (project,) = (tmp_path / "unpacked").iterdir()
    (project / "bnbench/lanes/src").mkdir(exist_ok=True)
    (project / "bnbench/lanes/src/lanes.cpp").write_text(SOURCE)
    return project


def held(wheel: Path) -> dict[str, bytes]:
    """The files of `bnbench/lanes/lib` in a wheel, by name."""
    with zipfile.ZipFile(wheel) as file:
        names = [name for name in file.namelist() if name.startswith("bnbench/lanes/lib/")]
        return {Path(name).name: file.read(name) for name in names}


@pytest.mark.skipif(not libraries(), reason="no kernels for this kind of machine")
def test_a_wheel_with_kernels_is_for_one_platform(unpacked: Path, tmp_path: Path, stand_in: pytest.MonkeyPatch) -> None:
    before = {path for path in unpacked.rglob("*") if path.is_file()}
    wheel, said = build("wheel", unpacked, tmp_path / "wheel")
    assert wheel.name.endswith(f"-py3-none-linux_{platform.machine()}.whl")
    assert "built with kernels: " + ", ".join(libraries()) in said
    files = held(wheel)
    assert files.keys() == {*(f"lanes_{name}.so" for name in libraries()), "compiled.json"}
    for name, processor in libraries().items():
        told = files[f"lanes_{name}.so"].decode().split()
        assert {f"-mcpu={processor}", "-ffp-contract=off", "-nostdlib++"} <= {*told}
    note = json.loads(files["compiled.json"])
    digest = sources_digest(unpacked / "bnbench/lanes/src")
    assert note == {"sources": digest, "libraries": [*libraries()], "problem": None}
    assert {path for path in unpacked.rglob("*") if path.is_file() and "__pycache__" not in path.parts} == before


@pytest.mark.skipif(not libraries(), reason="no kernels for this kind of machine")
def test_an_editable_install_has_its_kernels_in_the_checkout(
    unpacked: Path, tmp_path: Path, stand_in: pytest.MonkeyPatch
) -> None:
    hook = LanesHook(str(unpacked), {}, None, None, "", "wheel")
    wheel: dict[str, Any] = {"force_include": {}}
    hook.initialize("editable", wheel)
    hook.finalize("editable", wheel, "")
    assert wheel == {"force_include": {}}
    in_checkout = {path.name for path in (unpacked / "bnbench/lanes/lib").iterdir()}
    assert in_checkout == {*(f"lanes_{name}.so" for name in libraries()), "compiled.json"}
    again, _ = build("sdist", unpacked, tmp_path / "again")
    with tarfile.open(again) as file:
        assert [name for name in file.getnames() if "/lanes/lib/" in name] == []


def test_a_wheel_whose_kernels_do_not_compile_is_for_every_platform_and_says_why(
    unpacked: Path, tmp_path: Path, stand_in: pytest.MonkeyPatch
) -> None:
    stand_in.setenv("STAND_IN", "fails")
    wheel, said = build("wheel", unpacked, tmp_path / "wheel")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "built without kernels" in said
    assert held(wheel).keys() == {"compiled.json"}
    if libraries():
        assert "error: expected a number" in said
        assert "error: expected a number" in json.loads(held(wheel)["compiled.json"])["problem"]


def test_a_newer_library_takes_an_older_ones_name(sources: Path, tmp_path: Path, stand_in: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lib"
    stand_in.setattr(platform, "system", lambda: "Linux")
    stand_in.setattr(platform, "machine", lambda: "aarch64")
    assert compile_libraries(sources, folder) is None
    assert {path.name for path in folder.iterdir()} == {"lanes_aarch64.so", "compiled.json"}
    with library_file(folder, "aarch64").open() as older:
        assert compile_libraries(sources, folder) is None
        assert "-target aarch64-linux-gnu" in older.read()  # whoever has it open keeps it
    stand_in.setenv("STAND_IN", "fails")
    assert (
        compile_libraries(sources, folder) == "aarch64 could not be compiled: lanes.cpp:7:1: error: expected a number"
    )
    assert {path.name for path in folder.iterdir()} == {"compiled.json"}


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64"), ("Darwin", "arm64")])
def test_other_machines_are_told_that_there_is_none_for_them(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert compile_libraries(sources, tmp_path) == f"bnbench has none for {system} on {machine}"
    assert json.loads(note_file(tmp_path).read_text())["libraries"] == []


def test_without_ziglang_nothing_is_compiled(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert compile_libraries(sources, tmp_path) == "ziglang, which compiles them, was not there"


@pytest.mark.slow  # fetches the compiler, some 100 MB
@pytest.mark.skipif(not libraries(), reason="no kernels for this kind of machine")
def test_pip_builds_kernels_that_run_from_the_sdist_without_a_system_compiler(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "no_tools").mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(tmp_path / "wheel"), str(unpacked)],
        env={**os.environ, "PATH": str(tmp_path / "no_tools")},
        check=True,
    )
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    code = "from bnbench.lanes.library import load_library; print(load_library().lanes_of_a_vector())"
    for asked, width in {"v4": "16", "v3": "8"}.items() if platform.machine() == "x86_64" else [("", "4")]:
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "BNBENCH_LANES": asked},
            capture_output=True,
            text=True,
            check=False,
        )
        if "this processor has no" not in ran.stderr:  # v4, on many
            assert ran.stdout.strip() == width, ran.stderr
