"""What an experiment trains on where the data its source used are not on the machine."""

from dataclasses import replace

import numpy as np
import pytest

from bnbench.config import Config, ConfigError
from bnbench.data import DataError
from bnbench.sweep.planning.data_fallback import stand_in


def asking(root, other="mnist_5k"):
    config = Config()
    return replace(config, data=replace(config.data, name="mnist", root=str(root), stand_in=other))


def test_missing_files_are_stood_in_for_and_it_is_said(tmp_path):
    name, line = stand_in(asking(tmp_path), ["+experiment=fc_lesson"], tmp_path)
    assert name == "mnist_5k"
    assert "data=mnist_5k stands in for data=mnist" in line
    assert list(tmp_path.iterdir()) == []  # nothing was downloaded


@pytest.mark.parametrize("typed", ["data=mnist", "data=digits"])
def test_data_typed_by_hand_are_never_replaced(typed, tmp_path):
    assert stand_in(asking(tmp_path), [typed], tmp_path) is None


def test_data_without_a_stand_in_are_never_replaced(tmp_path):
    assert stand_in(asking(tmp_path, other=None), [], tmp_path) is None


def test_damaged_files_are_an_error_and_not_missing(tmp_path):
    for file in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{file}-ubyte").write_bytes(np.arange(16, dtype=np.uint8).tobytes())
    with pytest.raises(DataError, match="ubyte"):
        stand_in(asking(tmp_path), [], tmp_path)


def test_an_unknown_stand_in_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.stand_in=mnist_6k is unknown; allowed: mnist_5k"):
        stand_in(asking(tmp_path, other="mnist_6k"), [], tmp_path)
