"""A process that is named is known to be gone only by who sees the same table of processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bnbench.tracking import this_process, was_killed

_NAME_IT = "from bnbench.tracking import this_process; print(this_process())"


def _named_by_another(*around: str) -> str:
    done = subprocess.run([*around, sys.executable, "-c", _NAME_IT], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_process_that_has_ended_was_killed_and_this_one_was_not() -> None:
    assert not was_killed(this_process())
    assert was_killed(_named_by_another())


def test_a_name_that_an_older_bnbench_wrote_is_understood() -> None:
    assert not was_killed(this_process().rpartition(" ")[0])
    assert was_killed(_named_by_another().rpartition(" ")[0])


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs a namespace of its own")
def test_nobody_knows_of_a_process_in_another_container_of_the_same_name() -> None:
    assert not was_killed(_named_by_another("unshare", "--pid", "--fork"))
