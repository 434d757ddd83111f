"""How a sweep ends that is told to."""

import subprocess
import sys

_ASKED_OF_WORKERS = """
import signal
from joblib import Parallel, delayed
from bnbench.sweep.running.interruption import workers_ignore_ctrl_c

with workers_ignore_ctrl_c():
    masks = Parallel(n_jobs=2)(delayed(signal.pthread_sigmask)(signal.SIG_BLOCK, []) for _ in range(4))
print(len(masks), all(signal.SIGINT in mask for mask in masks))
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def test_workers_do_not_hear_ctrl_c_and_the_process_that_starts_them_does() -> None:
    # A new process: in this one, what a first pool starts may be running since an earlier test.
    done = subprocess.run([sys.executable, "-c", _ASKED_OF_WORKERS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["4 True", "False"]
