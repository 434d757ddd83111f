"""The kinds of the columns of trials.csv, which follow from their names alone."""

from __future__ import annotations

from bnbench.config import Config
from bnbench.config.trial import flatten
from bnbench.record import names
from bnbench.record.columns import STATE, metric_columns, param_columns

PARAMS = ["seed", *flatten(Config())]
METRICS = [*names.METRICS, names.steps_to(0.9), names.examples_to(0.9), names.reached(0.9), *names.MEASURED_CURVES]


def test_every_key_of_the_configuration_is_a_param_and_every_measure_a_metric() -> None:
    columns = [*STATE, *PARAMS, *METRICS]
    assert param_columns(columns) == PARAMS
    assert metric_columns(columns) == METRICS


def test_no_param_is_called_like_a_state() -> None:
    assert not {*STATE} & {*PARAMS}
