"""How a training process is set up, and what it does where memory runs out."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bnbench.config import Device, Trial
from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.tensors.kernels import described_settings

# mallopt's numbers of its parameters, and their largest values.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20

# MKL's numbers in mkl_types.h.
_MKL_ALL, _MKL_STRICT = -1, 0x10000
_MKL_BRANCHES = {
    0: "OFF",
    1: "OFF",
    2: "AUTO",
    3: "COMPATIBLE",
    4: "SSE2",
    6: "SSSE3",
    7: "SSE4_1",
    8: "SSE4_2",
    9: "AVX",
    10: "AVX2",
    12: "AVX512",
}


def prepare_process() -> None:
    """Set this process up to train packs: on one thread, and keeping the memory it frees.

    One-thread processes, one a core, beat threads on small networks; and only so are a trial's bits the same in
    every pack.
    """
    torch.set_num_threads(1)
    # On a GPU the same: whole float32 products, and no kernel that sums in a different order each time.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let this process keep the memory it frees, up to what it once needed, where its C library is glibc's.

    Every step allocates and frees the same activations. By default glibc gives blocks of more than 128 KiB back to the
    system at once and gets them anew page by page: for packs of small networks that took as long as some kernels.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_TOP_PAD, 64 * 2**20)


def conditions(device: Device) -> dict[str, str]:
    """What the rounding of this process's kernels on a device depends on, as tags of the trials that it trains."""
    return {
        names.Tag.DEVICE: torch.cuda.get_device_name() if device == Device.cuda else str(device),
        names.Tag.CPU_CAPABILITY: torch.backends.cpu.get_cpu_capability(),
        names.Tag.BLAS: _blas(device),
        names.Tag.KERNELS: described_settings(),
        names.Tag.THREADS: str(torch.get_num_threads()),
    }


def _blas(device: Device) -> str:
    if device == Device.cuda:
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        return f"CUDA {torch.version.cuda}, cuDNN {cudnn}"
    mkl = re.search(r"Math Kernel Library Version (\S+?)-", torch.__config__.show())
    return f"MKL {mkl[1]}, MKL_CBWR={_reproducibility_of_mkl()}" if mkl else "not MKL"


def _reproducibility_of_mkl() -> str:
    """The branch of its code that MKL takes, as it says itself: it reads `MKL_CBWR` at its first use, and not later.

    Where this torch does not let MKL be asked, it is the variable, marked as such.
    """
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        setting = int(ctypes.CDLL(str(library)).mkl_serv_cbwr_get(_MKL_ALL))
    except (OSError, AttributeError):
        return f"{os.environ.get('MKL_CBWR', '')} asked for"
    branch = setting & ~_MKL_STRICT
    return _MKL_BRANCHES.get(branch, str(branch)) + (",STRICT" if setting & _MKL_STRICT else "")


def fit_in_memory(fit: Callable[[Sequence[Trial]], list[TrialResult]], trials: Sequence[Trial]) -> list[TrialResult]:
    """The results of a pack; where memory runs out, those of its halves, one after the other, and so on.

    A trial's results do not depend on its pack, so this costs time and nothing else.

    Raises:
        MemoryError, RuntimeError: If a trial does not fit even alone.
    """
    try:
        return fit(trials)
    except (MemoryError, RuntimeError) as error:
        if len(trials) == 1 or not _is_out_of_memory(error):
            raise
    gc.collect()  # after the handler, which kept the pack alive through the traceback
    half = len(trials) // 2
    return [*fit_in_memory(fit, trials[:half]), *fit_in_memory(fit, trials[half:])]


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text
