from __future__ import annotations

from bnbench.record.names import CONDITIONS, Tag


def test_tags_are_called_what_they_are_in_the_stores_that_exist() -> None:
    assert Tag.CHARTS == "bnbench.charts"
    assert CONDITIONS == (
        "bnbench.device",
        "bnbench.cpu_capability",
        "bnbench.blas",
        "bnbench.kernels",
        "bnbench.threads",
    )
