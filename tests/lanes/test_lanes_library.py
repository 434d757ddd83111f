"""Which library is loaded: by what was compiled, what the processor has, and what BNBENCH_LANES asks for."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bnbench.config import ConfigError
from bnbench.lanes import library
from bnbench.lanes.compiling import LIBRARIES, libraries, library_file, note_file, sources_digest

V3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "popcnt"}
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
X86 = ("x86_64_v4", "x86_64_v3")


@pytest.fixture(autouse=True)
def _nothing_found_yet() -> Iterator[None]:
    """What a process has found is kept for its life: each test looks anew."""
    library._found.cache_clear()
    yield
    library._found.cache_clear()


class Machine:
    """An installation with some libraries, on a processor with some instructions; loading one only gives its name."""

    load = ctypes.CDLL

    def __init__(self, patch: pytest.MonkeyPatch, sources: Path, folder: Path) -> None:
        self.patch, self.sources, self.folder = patch, sources, folder
        self.site_packages = sources / "site-packages"
        folder.mkdir()
        (sources / "lanes.cpp").write_text("int answer = 42;\n")
        patch.delenv("BNBENCH_LANES", raising=False)
        patch.setattr(library, "SOURCES", sources)
        patch.setattr(library, "LIBRARIES", folder)
        patch.setattr(importlib.metadata, "distribution", self.distribution)
        patch.setattr(ctypes, "CDLL", lambda path: SimpleNamespace(_name=path))
        self.note(X86)
        self.has(V4)

    def note(self, libraries: Iterable[str], problem: str | None = None) -> None:
        note = {"sources": sources_digest(self.sources), "libraries": [*libraries], "problem": problem}
        note_file(self.folder).write_text(json.dumps(note))

    def distribution(self, name: str) -> SimpleNamespace:
        """What is installed of bnbench, beside the copy that runs; nothing until `installed` makes it."""
        if not self.site_packages.exists():
            raise importlib.metadata.PackageNotFoundError(name)
        return SimpleNamespace(locate_file=lambda path: self.site_packages / path)

    def installed(self) -> None:
        """Move the libraries to an installation, as `pip install` of a clone leaves them."""
        place = self.site_packages / "bnbench/lanes/lib"
        place.parent.mkdir(parents=True)
        self.folder.rename(place)
        self.folder = place

    def has(self, instructions: Iterable[str]) -> None:
        self.patch.setattr(library, "_processor_features", lambda: {*instructions})


def loaded_file() -> str | None:
    """The name of the library's file that is loaded."""
    found = library.load_library()
    return found and Path(found._name).name


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path, tmp_path / "lib")


@pytest.mark.parametrize(
    ("libraries", "instructions", "loaded"),
    [
        (X86, V4, "lanes_x86_64_v4.so"),
        (X86, V3, "lanes_x86_64_v3.so"),
        (("aarch64",), {"asimd"}, "lanes_aarch64.so"),
        *[(X86, V4 - {name}, "lanes_x86_64_v3.so") for name in sorted(V4 - V3)],
    ],
)
def test_the_best_library_that_the_processor_can_run_is_loaded(
    machine: Machine, libraries: tuple[str, ...], instructions: set[str], loaded: str
) -> None:
    machine.note(libraries)
    machine.has(instructions)
    assert loaded_file() == loaded
    assert library.why_no_kernels() is None


@pytest.mark.parametrize("missing", sorted(V3))
def test_a_processor_that_lacks_one_instruction_set_loads_nothing(machine: Machine, missing: str) -> None:
    machine.has(V4 - {missing})
    assert library.load_library() is None
    assert library.why_no_kernels() == f"this processor has no {missing}"


@pytest.mark.parametrize(("asked", "loaded"), [("v4", "lanes_x86_64_v4.so"), ("v3", "lanes_x86_64_v3.so")])
def test_the_variable_chooses(machine: Machine, asked: str, loaded: str) -> None:
    machine.patch.setenv("BNBENCH_LANES", asked)
    assert loaded_file() == loaded


def test_the_variable_can_ask_for_no_kernels(machine: Machine) -> None:
    machine.patch.setenv("BNBENCH_LANES", "none")
    assert library.load_library() is None
    assert library.why_no_kernels() == "BNBENCH_LANES=none"


@pytest.mark.parametrize("asked", ["v5", "V4", "x86_64_v4", "0"])
def test_another_value_of_the_variable_is_one_line_with_what_is_allowed(machine: Machine, asked: str) -> None:
    machine.patch.setenv("BNBENCH_LANES", asked)
    with pytest.raises(ConfigError, match=f"^BNBENCH_LANES={asked} is not allowed; it may be v4, v3 or none.*$"):
        library.load_library()


def test_asking_for_more_than_the_processor_has_is_an_error_and_loads_nothing(machine: Machine) -> None:
    machine.has(V3)
    machine.patch.setenv("BNBENCH_LANES", "v4")
    with pytest.raises(ConfigError, match=r"^BNBENCH_LANES=v4 .*this processor has no avx512f, avx512bw"):
        library.load_library()


def test_asking_for_another_kind_of_processor_is_an_error(machine: Machine) -> None:
    machine.note(["aarch64"])
    machine.patch.setenv("BNBENCH_LANES", "v3")
    with pytest.raises(ConfigError, match=r"^BNBENCH_LANES=v3 .*x86_64_v3 is not for this kind of processor"):
        library.load_library()


def test_asking_for_kernels_that_were_not_compiled_is_an_error(machine: Machine) -> None:
    machine.note([], "ziglang, which compiles them, was not there")
    machine.patch.setenv("BNBENCH_LANES", "v3")
    with pytest.raises(ConfigError, match=r"^BNBENCH_LANES=v3 .*when bnbench was installed, ziglang"):
        library.load_library()


def test_a_failed_build_gives_its_reason(machine: Machine) -> None:
    machine.note([], "bnbench has none for Windows on AMD64")
    assert library.load_library() is None
    assert library.why_no_kernels() == "when bnbench was installed, bnbench has none for Windows on AMD64"


def test_a_copy_that_was_never_installed_gives_its_reason(machine: Machine) -> None:
    note_file(machine.folder).unlink()
    assert library.load_library() is None
    assert library.why_no_kernels() == "they are compiled by `pip install`, which this copy of bnbench has not seen"


def test_kernels_of_other_sources_are_not_loaded(machine: Machine) -> None:
    with (machine.sources / "lanes.cpp").open("a") as file:
        file.write("// changed\n")
    assert library.load_library() is None
    assert "compiled from other sources" in str(library.why_no_kernels())


def test_a_damaged_library_gives_its_reason(machine: Machine) -> None:
    machine.patch.setattr(ctypes, "CDLL", Machine.load)
    library_file(machine.folder, "x86_64_v4").write_bytes(b"no library")
    assert library.load_library() is None
    assert str(library.why_no_kernels()).startswith("x86_64_v4 could not be loaded: ")


@pytest.mark.skipif(not libraries(), reason="bnbench has no kernels for this kind of machine")
def test_an_installation_has_the_kernels_of_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this test, one that could not compile them would pass all others by skipping them."""
    monkeypatch.delenv("BNBENCH_LANES", raising=False)
    why = library.why_no_kernels()
    assert why is None or why.startswith("this processor has no "), why


@pytest.mark.skipif(not library_file(LIBRARIES, "x86_64_v3").is_file(), reason="no kernels for x86-64 here")
@pytest.mark.parametrize("asked", ["", "v3"])
def test_the_kernels_of_this_installation_load(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("BNBENCH_LANES", asked)
    assert loaded_file() in ({"lanes_x86_64_v3.so"} if asked else {"lanes_x86_64_v3.so", "lanes_x86_64_v4.so"})


def test_a_clone_that_is_run_in_place_loads_what_was_installed_of_it(machine: Machine) -> None:
    machine.installed()
    assert loaded_file() == "lanes_x86_64_v4.so"


def test_a_clone_that_changed_since_it_was_installed_loads_nothing_of_it(machine: Machine) -> None:
    machine.installed()
    (machine.sources / "lanes.cpp").write_text("int answer = 43;\n")
    assert library.load_library() is None
    assert library.why_no_kernels() == "they were compiled from other sources than those here; install bnbench again"
