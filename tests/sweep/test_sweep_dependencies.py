"""Every sweep is composed to the same configuration by the lowest and the highest Hydra and OmegaConf allowed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

pytestmark = pytest.mark.slow  # asks a package registry, and installs from it

_COMPOSE = """
import json, sys
from importlib.metadata import version
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from bnbench.config.folder import conf_dir
from bnbench.sweep.hydra_app import register

register()
composed = {}
with initialize_config_dir(str(conf_dir()), job_name="test", version_base="1.3"):
    for words in [[], *([f"+sweep={file.stem}"] for file in sorted((conf_dir() / "sweep").glob("*.yaml")))]:
        config = compose("config", overrides=words)
        composed[" ".join(words)] = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
versions = {name: version(name) for name in ("hydra-core", "omegaconf")}
json.dump({"versions": versions, "composed": composed}, sys.stdout)
"""
_NAMES = ("hydra-core", "omegaconf")
_PLAN = ("+sweep=placement", "plan_only=true", "seed=range(2)")


def _allowed(name: str) -> list[str]:
    """The released versions that bnbench allows, the lowest first."""
    [wanted] = [one for one in map(Requirement, requires("bnbench") or []) if one.name == name and not one.marker]
    asked = _pip("index", "versions", name)
    if asked.returncode:
        pytest.skip(f"no package registry answers: {asked.stderr.strip().splitlines()[-1]}")
    [line] = re.findall(r"^Available versions: (.*)$", asked.stdout, re.M)
    return sorted(wanted.specifier.filter(line.split(", ")), key=Version)


def _pip(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _python(folder: Path | None, cwd: Path, *words: str) -> str:
    """What Python prints with the packages of a folder before its own."""
    environment = {**os.environ, **({"PYTHONPATH": str(folder)} if folder else {})}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _installed(folder: Path, ends: str) -> dict[str, str]:
    """Installs both at their lowest or highest versions that go together; gives the versions."""
    allowed = {name: _allowed(name)[:: 1 if ends == "lowest" else -1] for name in _NAMES}
    for hydra in allowed["hydra-core"]:
        for omegaconf in allowed["omegaconf"]:
            packages = [f"hydra-core=={hydra}", f"omegaconf=={omegaconf}"]
            if _pip("install", "--quiet", "--target", str(folder), *packages).returncode == 0:
                return {"hydra-core": hydra, "omegaconf": omegaconf}
    raise AssertionError(f"no two of {allowed} go together")


@pytest.mark.parametrize("ends", ["lowest", "highest"])
def test_the_ends_of_what_is_allowed_compose_the_same_sweeps(ends: str, tmp_path: Path) -> None:
    folder = tmp_path / ends
    versions = _installed(folder, ends)
    there, here = (json.loads(_python(where, tmp_path, "-c", _COMPOSE)) for where in (folder, None))
    print(f"{ends}: {versions}; here: {here['versions']}")
    assert there["versions"] == versions
    assert len(there["composed"]) > 5
    assert there["composed"] == here["composed"]
    planned, expected = (_python(where, tmp_path, "-m", "bnbench", *_PLAN) for where in (folder, None))
    assert "120 trials" in planned
    assert planned == expected
