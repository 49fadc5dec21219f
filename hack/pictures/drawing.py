"""Draws each type of panel into its box, as Grafana lays it out."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from hack.pictures import units
from hack.pictures.canvas import BORDER, FAINT, Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from hack.pictures.canvas import Canvas
    from hack.pictures.panels import Data, Panel
    from hack.pictures.prometheus import TimeRange

COLORS = (
    "#3274d9",
    "#e0752d",
    "#37872d",
    "#c4162a",
    "#8f3bb8",
    "#c69b06",
    "#00838f",
    "#8d6e63",
    "#d81b60",
    "#546e7a",
)
THRESHOLD_COLORS = {"green": "#2f8f3e", "red": "#d0233c"}
TITLE_HEIGHT = 30
LEGEND_LINE = 17
MAX_LEGEND_LINES = 4
EMPTY = 1e-9
"""Up to this a heatmap's cell has no colour."""
TICK_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800)


def draw(canvas: Canvas, box: Box, panel: Panel, data: Data, times: TimeRange) -> None:
    """Draw a panel with its title; without data, it says so."""
    if panel.type == "row":
        canvas.text(box.left + 2, box.top + box.height / 2, panel.title, size=14, fontweight="bold")
        return
    canvas.rectangle(box, edge=BORDER)
    title = canvas.shortened(panel.title, box.width - 20, 12)
    canvas.text(box.left + 10, box.top + TITLE_HEIGHT / 2, title, size=12, fontweight="bold")
    inner = box.inside(top=TITLE_HEIGHT)
    if not any(line.values for line in data.lines):
        x, y = inner.left + inner.width / 2, inner.top + inner.height / 2 - 5
        canvas.text(x, y, "No data", size=14, color=FAINT, horizontalalignment="center")
        return
    _DRAWERS[panel.type](canvas, inner, panel, data, times)


def _stat(canvas: Canvas, box: Box, panel: Panel, data: Data, times: TimeRange) -> None:
    """Write the last value, in the colour of its threshold."""
    value = last(data)
    color = threshold_color(panel.thresholds, value)
    middle = {"horizontalalignment": "center", "fontweight": "bold"}
    text = units.text(value, panel.unit)
    size = min(36.0, 36 * (box.width - 40) / canvas.text_width(text, 36, fontweight="bold"))
    canvas.text(
        box.left + box.width / 2, box.top + box.height / 2 - 6, text, size=size, color=color, **middle
    )


def last(data: Data) -> float:
    """Return the newest value of the first series."""
    values = data.lines[0].values
    return values[max(values)]


def threshold_color(steps: list[tuple[float | None, str]], value: float) -> str:
    """Return the colour of the last step that the value reaches."""
    names = [color for bound, color in steps if bound is None or value >= bound]
    return THRESHOLD_COLORS.get(names[-1], names[-1]) if names else THRESHOLD_COLORS["green"]


class _Entry(NamedTuple):
    """A name in a legend, and where it stands."""

    name: str
    color: str
    left: float
    line: int


def _timeseries(canvas: Canvas, box: Box, panel: Panel, data: Data, times: TimeRange) -> None:
    names = [line.name for line in data.lines]
    entries, lines = _legend(canvas, names, box.width - 24)
    bottom = lines * LEGEND_LINE + 8
    axes = canvas.axes(box.inside(left=66, top=4, right=16, bottom=bottom + 20))
    grid = np.arange(times.start, times.end + times.step / 2, times.step)
    below, highest = np.zeros(len(grid)), 0.0
    for line, color in zip(data.lines, _colors(len(names)), strict=True):
        heights = np.array([line.values.get(time, math.nan) for time in grid.tolist()])
        base = below
        if panel.stacked:
            heights = below + heights
            below = np.where(np.isnan(heights), below, heights)
        else:
            base = np.full(len(grid), panel.minimum or 0.0)
        axes.fill_between(grid, base, heights, color=color, alpha=panel.fill, linewidth=0)
        axes.plot(grid, heights, color=color, linewidth=1.6, solid_joinstyle="round")
        finite = heights[np.isfinite(heights)]
        highest = max(highest, float(finite.max())) if len(finite) else highest
    points = [each for each in data.exemplars if times.start <= each.time <= times.end]
    axes.plot(
        [each.time for each in points], [each.value for each in points], linestyle="none", marker="D", markersize=4,
        markerfacecolor="white", markeredgecolor=COLORS[0], markeredgewidth=1, alpha=0.75,
    )  # fmt: skip
    highest = max([highest, *(each.value for each in points)])
    _value_axis(axes, panel, highest)
    _time_axis(axes, times)
    for entry in entries:
        y = box.top + box.height - bottom + (entry.line + 0.5) * LEGEND_LINE
        canvas.rectangle(Box(box.left + 12 + entry.left, y - 1.5, 12, 3), fill=entry.color)
        canvas.text(box.left + 12 + entry.left + 17, y, entry.name, size=11)


def _colors(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]


def _legend(canvas: Canvas, names: list[str], width: float) -> tuple[list[_Entry], int]:
    """Return the names side by side, and the number of lines; the last of too many names says how many are missing."""
    entries: list[_Entry] = []
    left, line = 0.0, 0
    for index, (name, color) in enumerate(zip(names, _colors(len(names)), strict=True)):
        if not name:  # such as the zero of `or vector(0)`
            continue
        shown = canvas.shortened(name, width - 20)
        needed = canvas.text_width(shown) + 34
        if left and left + needed > width + 14:
            left, line = 0.0, line + 1
        if line == MAX_LEGEND_LINES:
            hidden = len(names) - index + 1
            entries[-1] = entries[-1]._replace(name=f"and {hidden} more", color="none")
            return entries, line
        entries.append(_Entry(shown, color, left, line))
        left += needed
    return entries, line + 1


def _value_axis(axes: Axes, panel: Panel, highest: float) -> None:
    """Label the values in the panel's unit, at round numbers of the unit that fits the highest."""
    lowest = panel.minimum or 0.0
    top = panel.maximum if panel.maximum is not None else highest or 1.0
    size = units.scale(panel.unit, top).size
    locator = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10])
    ticks = [float(tick) * size for tick in locator.tick_values(lowest / size, top / size)]
    if panel.maximum is None:
        top = ticks[-1]
    axes.set_ylim(lowest, top * 1.01)  # the line at the top keeps its width
    shown = [tick for tick in ticks if lowest <= tick <= top * 1.001]
    axes.set_yticks(shown, [units.text(tick, panel.unit) for tick in shown])


def _time_axis(axes: Axes, times: TimeRange) -> None:
    """Label the times in UTC."""
    span = times.end - times.start
    distance = next((each for each in TICK_SECONDS if span / each <= 8), TICK_SECONDS[-1])
    ticks = range(math.ceil(times.start / distance) * distance, math.floor(times.end) + 1, distance)
    form = "%H:%M:%S" if distance < 60 else "%H:%M" if distance < 86400 else "%m-%d"
    axes.set_xlim(times.start, times.end)
    axes.set_xticks([*ticks], [datetime.fromtimestamp(tick, UTC).strftime(form) for tick in ticks])


def _heatmap(canvas: Canvas, box: Box, panel: Panel, data: Data, times: TimeRange) -> None:
    """Colour each bucket at each time by its value; a row's upper edge has the bucket's upper bound."""
    axes = canvas.axes(box.inside(left=66, top=4, right=16, bottom=46))
    grid = np.arange(times.start, times.end + times.step / 2, times.step)
    cells = np.array([[line.values.get(time, math.nan) for time in grid.tolist()] for line in data.lines])
    cells[~(cells > EMPTY)] = math.nan
    edges = np.append(grid, grid[-1] + times.step) - times.step / 2
    most = float(np.nanmax(cells)) if np.isfinite(cells).any() else 1.0
    axes.pcolormesh(edges, np.arange(len(data.lines) + 1), cells, cmap="Oranges", vmin=0, vmax=most)
    every = math.ceil(len(data.lines) / 12)
    rows = range(len(data.lines) - 1, -1, -every)
    bounds = [line.bound if line.bound is not None else math.inf for line in data.lines]
    axes.set_yticks([row + 1 for row in rows], [units.text(bounds[row], panel.unit) for row in rows])
    axes.set_ylim(0, len(data.lines))
    axes.set_axisbelow(False)  # the grid's lines separate the rows
    _time_axis(axes, times)
    _color_scale(canvas, Box(box.left + 66, box.top + box.height - 20, 160, 8), most)


def _color_scale(canvas: Canvas, box: Box, most: float) -> None:
    """Draw a heatmap's colours from 0 to the highest value, which is a rate a second."""
    axes = canvas.axes(box)
    axes.imshow(np.linspace(0, 1, 64)[np.newaxis], cmap="Oranges", aspect="auto")
    axes.set_axis_off()
    y = box.top + box.height / 2
    canvas.text(box.left - 6, y, "0", size=10, color=FAINT, horizontalalignment="right")
    canvas.text(box.left + box.width + 6, y, f"{units.text(most, 'none')} a second", size=10, color=FAINT)


_DRAWERS: dict[str, Callable[[Canvas, Box, Panel, Data, TimeRange], None]] = {
    "stat": _stat,
    "timeseries": _timeseries,
    "heatmap": _heatmap,
}
