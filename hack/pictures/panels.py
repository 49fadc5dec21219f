"""A dashboard's JSON as panels, and the data of each panel."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hack.pictures.errors import PictureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hack.pictures.prometheus import Exemplar, Prometheus, TimeRange

TYPES = ("row", "stat", "timeseries", "heatmap")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Place(NamedTuple):
    """A panel's place in the dashboard's grid of 24 columns."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Query:
    """A query with its variables filled in, and the template of its legend."""

    expression: str
    legend: str
    exemplars: bool


@dataclass(frozen=True)
class Panel:
    """What a panel shows, and where."""

    type: str
    title: str
    place: Place
    queries: list[Query] = field(default_factory=list)
    unit: str = "none"
    minimum: float | None = None
    maximum: float | None = None
    stacked: bool = False
    fill: float = 0.0
    thresholds: list[tuple[float | None, str]] = field(default_factory=list)
    """From each value on, the figure has this colour; the first is from minus infinity on."""


class Line(NamedTuple):
    """A series with its name in the legend; a heatmap's `bound` is the bucket's upper one."""

    name: str
    values: dict[float, float]
    bound: float | None = None


@dataclass(frozen=True)
class Data:
    """What Prometheus has for a panel."""

    lines: list[Line] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)


@dataclass(frozen=True)
class Dashboard:
    """A dashboard's title and its panels."""

    title: str
    panels: list[Panel]


def read(board: Mapping[str, Any], *, rate_interval: str, variables: Mapping[str, str]) -> Dashboard:
    """Return the dashboard with `variables`, over the values that it has itself, in its queries.

    Raises PictureError for a variable without a value, and for a type of panel or variable that can't be drawn.
    """
    values = {**_values(board), **variables, "__rate_interval": rate_interval}
    return Dashboard(board["title"], [_panel(each, values) for each in board["panels"]])


def _values(board: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a dashboard's variables, without those that are not chosen yet."""
    values: dict[str, str] = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "constant":
            values[variable["name"]] = variable["query"]
        elif "current" in variable:
            values[variable["name"]] = variable["current"]["value"]
    return values


def _panel(panel: Mapping[str, Any], variables: Mapping[str, str]) -> Panel:
    if panel["type"] not in TYPES:
        raise PictureError(f"Panel {panel['title']!r} has the type {panel['type']!r}, which is unknown.")
    place = Place(**panel["gridPos"])
    if panel["type"] == "row":
        return Panel("row", panel["title"], place)
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    steps = defaults.get("thresholds", {}).get("steps", [])
    return Panel(
        panel["type"],
        panel["title"],
        place,
        [_query(each, variables) for each in panel["targets"]],
        unit=defaults["unit"],
        minimum=defaults.get("min"),
        maximum=defaults.get("max"),
        stacked=custom.get("stacking", {}).get("mode") == "normal",
        fill=custom.get("fillOpacity", 0) / 100,
        thresholds=[(each["value"], each["color"]) for each in steps],
    )


def _query(target: Mapping[str, Any], variables: Mapping[str, str]) -> Query:
    return Query(
        fill_in(target["expr"], variables),
        target.get("legendFormat", ""),
        exemplars=target.get("exemplar", False),
    )


def fill_in(expression: str, variables: Mapping[str, str]) -> str:
    """Return the expression with the variables' values. Raises PictureError for a variable without one."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise PictureError(f"The variable {name} has no value: give --variable {name}=VALUE.")
        return variables[name]

    return _VARIABLE.sub(value, expression)


def legend(template: str, labels: Mapping[str, str]) -> str:
    """Return a series' name: the template with the labels' values, or all labels if there is no template."""
    if template:
        return _LABEL.sub(lambda match: labels.get(match[1], ""), template).strip()
    pairs = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return labels.get("__name__", "") + (f"{{{pairs}}}" if pairs else "")


def fetch(panel: Panel, prometheus: Prometheus, times: TimeRange) -> Data:
    """Return the panel's data: lines by name within a query, or a heatmap's buckets, which count once."""
    data = Data()
    for query in panel.queries:
        lines = [
            Line(legend(query.legend, each.labels), each.values, _bound(each.labels))
            for each in prometheus.series(query.expression, times)
        ]
        data.lines.extend(sorted(lines, key=lambda line: line.name))
        if query.exemplars:
            data.exemplars.extend(prometheus.exemplars(query.expression, times))
    return Data(list(_buckets(data.lines)), []) if panel.type == "heatmap" else data


def _bound(labels: Mapping[str, str]) -> float | None:
    return float(labels["le"]) if "le" in labels else None


def _buckets(lines: list[Line]) -> Iterator[Line]:
    """Yield each bucket without the counts of the buckets below it."""
    below: dict[float, float] = {}
    bounded = [(line.bound, line) for line in lines if line.bound is not None]
    for bound, line in sorted(bounded, key=lambda pair: pair[0]):
        yield Line(
            line.name,
            {time: max(0.0, value - below.get(time, 0)) for time, value in line.values.items()},
            bound,
        )
        below = line.values
