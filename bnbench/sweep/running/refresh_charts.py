"""The charts of a sweep in MLflow, brought up to date with its trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnbench.analysis import Analysis
from bnbench.record.sweep_table import SweepTable
from bnbench.report.charts import mean_charts

if TYPE_CHECKING:
    from bnbench.tracking import Store


def renew_charts(store: Store, table: SweepTable) -> str:
    """Write what MLflow draws of a sweep anew, and say where on a server it is; see `Store.write_charts`.

    Args:
        store: Where it is recorded.
        table: What it holds of the sweep now.
    """
    return store.write_charts(table, mean_charts(Analysis(table)))
