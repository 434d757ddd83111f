"""`python -m bnbench explain`: one network, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError, useless_keys


def main(words: Sequence[str]) -> None:
    """Print one trial's network, and the normalization of a small matrix worked by hand."""
    from bnbench.cli.explain import explain as explanation
    from bnbench.config import Trial
    from bnbench.data import dataset_info
    from bnbench.sweep.planning.norm_rules import norm_errors

    config = VerbParser("explain", keys=["*"]).read(words).config
    info = dataset_info(config.data)
    trial = Trial.from_config(config, train_size=info.train, data_checksum="")
    unfit = [*useless_keys([config]), *norm_errors(config)]
    if unfit:
        raise ConfigError("\n".join(unfit))
    for what in info.notes:
        print(f"{info.summary}: {what}")
    print(explanation(trial, info.shape, info.classes))
