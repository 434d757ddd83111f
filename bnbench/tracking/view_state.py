"""A preset view in MLflow's own form: an experiment tag that holds charts, columns, a filter and a grouping.

MLflow documents none of it. What stands here was read in the UI of 3.17 and tried in a browser.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

TAG = "mlflow.sharedViewState."
"""What a view's tag begins with; its id follows."""

_TAG_LENGTH = 20_000  # the longest value of an experiment's tag
_MOST_RUNS = 500  # lines or points in a chart
_HEIGHT = 320  # of a chart, in pixels

Group = tuple[Literal["param", "tag"], str]
"""What runs are averaged by."""


@dataclass(frozen=True)
class Line:
    """A metric over the steps, on a logarithmic axis as the evaluation grid is, or over another metric.

    Attributes:
        over: The metric along the axis; None for the steps.
        log: Whether the upright axis is logarithmic.
    """

    metric: str
    over: str | None = None
    log: bool = False

    def card(self) -> dict[str, Any]:
        return {
            "type": "LINE",
            "metricKey": self.metric,
            "selectedMetricKeys": [self.metric],
            "scaleType": "log" if self.log else "linear",
            "xAxisKey": "metric" if self.over else "step",
            "xAxisScaleType": "linear" if self.over else "log",
            "selectedXAxisMetricKey": self.over or "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "lineSmoothness": 0,
            "displayPoints": bool(self.over),
            "range": {},
            "ignoreOutliers": False,
            "useGlobalXaxisKey": not self.over,
            "useGlobalLineSmoothing": True,
        }


@dataclass(frozen=True)
class Bars:
    """A final metric, a bar for each run or group."""

    metric: str

    def card(self) -> dict[str, Any]:
        return {"type": "BAR", "metricKey": self.metric}


@dataclass(frozen=True)
class Parallel:
    """A line through the params of each run to its metric; not over groups."""

    params: Sequence[str]
    metric: str

    def card(self) -> dict[str, Any]:
        selected = {"selectedParams": [*self.params], "selectedMetrics": [self.metric]}
        return {"type": "PARALLEL", **selected, "showAllRuns": True}


Chart = Line | Bars | Parallel


@dataclass(frozen=True)
class Section:
    """Charts under one title, of which MLflow shows some 25 letters beside its panels.

    They stand one below the other: beside each other there is room neither for their titles, which are their metrics'
    names, nor for a legend, which says these too.
    """

    title: str
    charts: Sequence[Chart]
    folded: bool = False


@dataclass(frozen=True)
class View:
    """What a view shows.

    Attributes:
        id: Part of its address: letters, digits and hyphens.
        name: In the menu.
        filter: Which runs, in MLflow's search language.
        order: What runs are ordered by, ascending: `` params.`seed` ``. In another order than that of their start they
            are shown without the runs they belong to. MLflow shows the first hundred.
        sections: Its charts.
        columns: Of the table: `` params.`seed` ``.
        groups: What runs are averaged by; nothing shows each run.
        undrawn: Metrics that get no chart; MLflow makes one for each that the view does not name.
    """

    id: str
    name: str
    filter: str
    order: str
    sections: Sequence[Section]
    columns: Sequence[str]
    groups: Sequence[Group] = ()
    undrawn: Sequence[str] = ()

    def tag(self, milliseconds: int) -> tuple[str, str]:
        """Key and value of the experiment's tag, written at that time; of too many charts the last are left out."""
        about = {"name": self.name, "createdAt": milliseconds, "updatedAt": milliseconds}
        text = json.dumps(self._state(), separators=(",", ":"))
        state = "deflate;" + base64.b64encode(zlib.compress(text.encode())).decode()
        value = json.dumps({**about, "state": state})
        if len(value) > _TAG_LENGTH and self.sections:
            last = max(range(len(self.sections)), key=lambda i: (self.sections[i].folded, i))
            return replace(self, sections=[s for i, s in enumerate(self.sections) if i != last]).tag(milliseconds)
        return f"{TAG}{self.id}", value

    def _state(self) -> dict[str, Any]:
        by_user = {"deleted": False, "isGenerated": False}
        by = [{"mode": mode, "groupByData": key} for mode, key in self.groups]
        return {
            "compareRunCharts": [
                {
                    **by_user,
                    "uuid": f"{number}/{place}",
                    "metricSectionId": str(number),
                    "runsCountToCompare": _MOST_RUNS,
                }
                | chart.card()
                for number, section in enumerate(self.sections)
                for place, chart in enumerate(section.charts)
            ]
            + [
                {**Bars(key).card(), **by_user, "uuid": f"undrawn/{key}", "metricSectionId": "", "deleted": True}
                for key in self.undrawn
            ],
            "compareRunSections": [
                {
                    **by_user,
                    "uuid": str(number),
                    "name": section.title,
                    "display": not section.folded,
                    "isReordered": True,
                }
                | {"columns": 1, "cardHeight": _HEIGHT}
                for number, section in enumerate(self.sections)
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
            "runListHidden": True,
            "searchFilter": self.filter,
            "orderByKey": self.order,
            "orderByAsc": True,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
        }
