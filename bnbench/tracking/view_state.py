"""A preset view in MLflow's own form: an experiment tag that holds charts, columns, a filter and a grouping.

MLflow documents none of it. What stands here was read in the UI of 3.17 and tried in a browser.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["TAG", "Bars", "Chart", "Curve", "Group", "Parallel", "Scatter", "View"]

TAG = "mlflow.sharedViewState."
"""What a view's tag begins with; its id follows."""

_MOST_RUNS = 500  # lines or points in a chart

Group = tuple[Literal["param", "tag"], str]
"""What runs are averaged by."""


@dataclass(frozen=True)
class Curve:
    """A metric over the steps, on a logarithmic axis as the evaluation grid is; with `log` its own axis too."""

    metric: str
    log: bool = False

    def card(self) -> dict[str, Any]:
        return {
            "type": "LINE",
            "metricKey": self.metric,
            "selectedMetricKeys": [self.metric],
            "scaleType": "log" if self.log else "linear",
            "xAxisKey": "step",
            "xAxisScaleType": "log",
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "lineSmoothness": 0,
            "displayPoints": False,
            "range": {},
            "ignoreOutliers": False,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }


@dataclass(frozen=True)
class Bars:
    """A final metric, a bar for each run or group."""

    metric: str

    def card(self) -> dict[str, Any]:
        return {"type": "BAR", "metricKey": self.metric}


@dataclass(frozen=True)
class Scatter:
    """A final metric over a param; over groups only if the param is one of their keys."""

    param: str
    metric: str

    def card(self) -> dict[str, Any]:
        x, y = {"key": self.param, "type": "PARAM"}, {"key": self.metric, "type": "METRIC"}
        return {"type": "SCATTER", "xaxis": x, "yaxis": y}


@dataclass(frozen=True)
class Parallel:
    """A line through the params of each run to its metric; not over groups."""

    params: Sequence[str]
    metric: str

    def card(self) -> dict[str, Any]:
        selected = {"selectedParams": [*self.params], "selectedMetrics": [self.metric]}
        return {"type": "PARALLEL", **selected, "showAllRuns": True}


Chart = Curve | Bars | Scatter | Parallel


@dataclass(frozen=True)
class View:
    """What a view shows.

    Attributes:
        id: Part of its address: letters, digits and hyphens.
        name: In the menu.
        filter: Which runs, in MLflow's search language.
        order: The metric whose greatest value comes first. Runs in another order than that of their start are shown
            without the runs they belong to.
        sections: Charts by title.
        columns: Of the table: `` params.`seed` ``.
        groups: What runs are averaged by; nothing shows each run.
    """

    id: str
    name: str
    filter: str
    order: str
    sections: dict[str, list[Chart]]
    columns: Sequence[str]
    groups: Sequence[Group] = ()

    def tag(self, milliseconds: int) -> tuple[str, str]:
        """Key and value of the experiment's tag, written at that time."""
        text = json.dumps(self._state(), separators=(",", ":"))
        state = "deflate;" + base64.b64encode(zlib.compress(text.encode())).decode()
        about = {"name": self.name, "createdAt": milliseconds, "updatedAt": milliseconds}
        return f"{TAG}{self.id}", json.dumps({**about, "state": state})

    def _state(self) -> dict[str, Any]:
        own = {"deleted": False, "isGenerated": False}
        by = [{"mode": mode, "groupByData": key} for mode, key in self.groups]
        return {
            "compareRunCharts": [
                {**own, "uuid": f"{title}/{place}", "metricSectionId": title, "runsCountToCompare": _MOST_RUNS}
                | chart.card()
                for title, charts in self.sections.items()
                for place, chart in enumerate(charts)
            ],
            "compareRunSections": [
                {**own, "uuid": title, "name": title, "display": True, "isReordered": True} for title in self.sections
            ],
            "isAccordionReordered": True,
            "groupBy": {"aggregateFunction": "average", "groupByKeys": by} if by else None,
            "useGroupedValuesInCharts": True,
            "hideEmptyCharts": True,
            "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
            "selectedColumns": [*self.columns],
            "columnOrder": [],
            "columnWidths": {},
            "runsHiddenMode": "SHOW_ALL",
            "searchFilter": self.filter,
            "orderByKey": f"metrics.`{self.order}`",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
        }
