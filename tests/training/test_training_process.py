"""Freed memory stays with the process: a step of training does not ask the system for its activations again."""

import os
import platform
import resource
import subprocess
import sys

import pytest

from bnbench.training.process import fit_in_memory

_PAGES = """
import resource, sys, torch
from bnbench.training.process import prepare_process
if sys.argv[1] == "kept":
    prepare_process()
def work():
    for _ in range(10):
        [torch.ones(1_000_000) for _ in range(20)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    script = [sys.executable, "-c", _PAGES, mode]
    # glibc's first threshold, which it would raise by itself, or not, with what else lies on the heap.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    return int(subprocess.run(script, capture_output=True, text=True, check=True, env=env).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other habits")
def test_memory_that_was_freed_is_not_asked_for_again():
    """200 tensors of 4 MB, 20 at a time."""
    pages = 200 * 4_000_000 // resource.getpagesize()
    assert page_faults("kept") < pages / 100 < pages / 2 < page_faults("default")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")]
)
def test_where_memory_runs_out_the_pack_is_halved_until_it_fits_and_keeps_its_order(error):
    tried: list[int] = []

    def fit(trials):
        tried.append(len(trials))
        if len(trials) > 2:
            raise error
        return [f"result {trial}" for trial in trials]

    assert fit_in_memory(fit, range(7)) == [f"result {i}" for i in range(7)]
    assert tried == [7, 3, 1, 2, 4, 2, 2]


def test_a_trial_that_does_not_fit_alone_and_other_errors_are_raised():
    def fit(trials):
        raise RuntimeError("out of memory" if len(trials) > 2 else "something else")

    with pytest.raises(RuntimeError, match="something else"):
        fit_in_memory(fit, range(5))


_LIMITED = """
import resource, sys
from bnbench.tensors.vision_ops import ensure_torchvision
ensure_torchvision()
import numpy as np, pytorch_lightning, torch
torch.set_num_threads(1)
from omegaconf import OmegaConf
from bnbench.config import Trial, schema
from bnbench.data import ImageData
from bnbench.training.fit import fit
from bnbench.training.process import fit_in_memory

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (120, 1, 8, 8), dtype=np.uint8)
data = ImageData.from_arrays("made_up", images, rng.integers(0, 10, 120), classes=10, source="a test")

def trial(seed):
    given = ["model.depth=2", "model.width=1200", "training.batch_size=8", "training.steps=2", f"seed={seed}"]
    config = OmegaConf.to_object(OmegaConf.merge(schema(), OmegaConf.from_dotlist(given)))
    return Trial.from_config(config, train_size=84, data_checksum="")

trials = [trial(seed) for seed in range(8)]
widths = []
def counted(part):
    widths.append(len(part))
    return fit(part, data)
if sys.argv[1] == "limited":
    fit(trials[:1], data)  # what is allocated once
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 80_000_000, -1))  # a trial takes 13 MB, and as much again to pack it
results = fit_in_memory(counted, trials)
print(max(widths), min(widths), [r.metrics["test/loss"].hex() for r in results])
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="needs a limit on a process's memory")
def test_a_process_with_too_little_memory_trains_its_pack_in_parts_to_the_same_bits():
    runs = [
        subprocess.run([sys.executable, "-c", _LIMITED, mode], capture_output=True, text=True, check=True).stdout
        for mode in ("limited", "free")
    ]
    (widest, narrowest, *limited), (_, whole, *free) = (run.split() for run in runs)
    assert (widest, whole) == ("8", "8")
    assert int(narrowest) < 8
    assert limited == free


_USED_BEFORE = """
import os, sys, torch
if sys.argv[1] == "used":
    torch.rand(64, 64) @ torch.rand(64, 64)
os.environ["MKL_CBWR"] = "AUTO,STRICT"
from bnbench.config import Device
from bnbench.record.names import Tag
from bnbench.training.process import conditions
torch.rand(64, 64) @ torch.rand(64, 64)
print(conditions(Device.cpu)[Tag.BLAS])
"""


@pytest.mark.parametrize(("before", "says"), [("used", "MKL_CBWR=OFF"), ("unused", "MKL_CBWR=AUTO,STRICT")])
def test_the_tag_of_blas_is_what_mkl_does_and_not_what_it_was_asked_too_late(before: str, says: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    script = [sys.executable, "-c", _USED_BEFORE, before]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    tag = done.stdout.strip()
    assert tag.endswith(says) or tag == "not MKL"
