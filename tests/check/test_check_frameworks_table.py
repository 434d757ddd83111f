"""The table of several checks."""

from __future__ import annotations

from bnbench.check.frameworks import as_markdown
from bnbench.check.row import Report, Row, Status


def test_the_table_has_a_row_an_implementation_and_its_faults_below() -> None:
    rows = [
        Row("conventions", "eps", Status.convention, "0.001, added to the variance, inside the root"),
        Row("conventions", "momentum", Status.convention, "the new batch weighs 0.1"),
        Row("edge inputs", "one value a channel", Status.refused, "ValueError"),
        Row("edge inputs", "empty batch", Status.differs, "evaluation is NaN ever after", explained="as if 0 / 0"),
    ]
    report = Report("a:B", "torch", {"torch": "1.0"}, {"mode": "x"}, rows=rows)
    head, _, line, *below = as_markdown([report.as_json()]).splitlines()
    cells = dict(zip(head.split(" | "), line.split(" | "), strict=True))
    assert cells["| implementation"] == "| `a:B` `mode=x`, torch 1.0"
    assert cells["momentum"] == "0.1"
    assert cells["one value a channel"] == "refused"
    assert cells["empty batch"] == "**evaluation is NaN ever after**"
    assert cells["large mean |"] == "– |"
    assert "- empty batch: evaluation is NaN ever after; as if 0 / 0" in below
