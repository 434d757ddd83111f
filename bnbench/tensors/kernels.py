"""Which of torch's kernels the process's environment asks for; read without importing torch."""

from __future__ import annotations

import os

MKL_CBWR = "AUTO,STRICT"
"""MKL picks kernels by the alignment of its operands unless told not to: without this value a trial's bits would
depend on its slot in a pack."""

_DEFAULTS = {
    "ATEN_CPU_CAPABILITY": None,
    "DNNL_DEFAULT_FPMATH_MODE": None,
    "DNNL_MAX_CPU_ISA": None,
    "MKL_CBWR": MKL_CBWR,
    "MKL_ENABLE_INSTRUCTIONS": None,
    "NVIDIA_TF32_OVERRIDE": None,
    "ONEDNN_DEFAULT_FPMATH_MODE": None,
    "ONEDNN_MAX_CPU_ISA": None,
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": None,
}
VARIABLES = frozenset(_DEFAULTS)
"""The names of the environment variables that kernels go by."""


def kernel_settings() -> dict[str, str]:
    """The environment variables, by name, that make kernels round otherwise than they would by themselves.

    They limit the vector instructions, or the precision of products, of torch's own kernels, of oneDNN, MKL and CUDA
    (torch 2.13). They do not include numbers of threads, which training sets itself.
    """
    environment = {name: os.environ.get(name) for name in _DEFAULTS}
    return {name: value for name, value in environment.items() if value and value != _DEFAULTS[name]}


def asked_of_kernels() -> dict[str, str]:
    """The variables, by name, to be set where trials of this process are trained: `kernel_settings` and `MKL_CBWR`.

    >>> asked_of_kernels()["MKL_CBWR"] == os.environ.get("MKL_CBWR", MKL_CBWR)
    True
    """
    return {"MKL_CBWR": MKL_CBWR, **kernel_settings()}


def described_settings() -> str:
    """The `kernel_settings` as one line, for a tag."""
    return " ".join(f"{name}={value}" for name, value in kernel_settings().items()) or "as the CPU has them"
