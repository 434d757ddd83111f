"""bnbench before torch, in every test process: it says how MKL is to round."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

import bnbench  # noqa: F401

for _name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):  # no test records where somebody else does
    os.environ.pop(_name, None)


@pytest.fixture(autouse=True)
def _no_tracking_uri_of_another_test() -> Iterator[None]:
    """Lightning's MLFlowLogger, which the usual way of the benchmark logs with, sets MLflow's address process-wide."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
