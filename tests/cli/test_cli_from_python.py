"""`bnbench.run` in a program that is a Hydra application itself, from threads, and with words that are wrong."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import bnbench
from bnbench.config import Config, ConfigError
from bnbench.sweep.hydra_session import compose_one

HYDRA_PROGRAM = """
import hydra, bnbench
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base=None, config_path=None)
def main(config):
    sweep = bnbench.run("norm=batch", "data=digits", "training.steps=2", "training.batch_size=8", "runs_dir=runs")
    print("trained", len(sweep.trials), "in the job named", HydraConfig.get().job.name)

main()
"""


def test_run_works_inside_a_hydra_application_and_leaves_its_configuration(tmp_path: Path) -> None:
    program = tmp_path / "theirs.py"
    program.write_text(HYDRA_PROGRAM)
    done = subprocess.run(
        [sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.endswith("trained 1 in the job named theirs\n"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope",), r"\+sweep=nope is unknown; allowed: .*placement"),
        (("norm=batchnorm",), "norm=batchnorm is unknown; allowed: .*batch"),
        (("seed=abc",), "seed.*abc"),
        (("training.stepz=3",), "stepz"),
    ],
)
def test_words_that_are_wrong_are_a_config_error(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        bnbench.run(*words, "plan_only=true")
    assert "\n" not in str(caught.value)


def test_threads_compose_one_after_another() -> None:
    found: list[Config | Exception] = []

    def compose() -> None:
        try:
            found.append(compose_one(["norm=batch"]))
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=compose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [getattr(config, "norm", config) for config in found] == [compose_one(["norm=batch"]).norm] * 4
