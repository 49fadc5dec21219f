"""A dashboard's picture: its title, what its variables select, and every panel in the dashboard's own grid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hack.pictures.canvas import FAINT, Box, Canvas
from hack.pictures.drawing import draw
from hack.pictures.panels import fetch

if TYPE_CHECKING:
    from hack.pictures.panels import Dashboard, Place
    from hack.pictures.prometheus import Prometheus, TimeRange

WIDTH, COLUMNS = 1200, 24
ROW, GAP = 38, 8
"""The height of a row of Grafana's grid, and the gap below it."""
HEADER = 44


def picture(dashboard: Dashboard, prometheus: Prometheus, times: TimeRange) -> Canvas:
    """Return the dashboard, drawn with what Prometheus has of these times."""
    rows = max(panel.place.y + panel.place.h for panel in dashboard.panels)
    canvas = Canvas.of(WIDTH, HEADER + rows * ROW + GAP)
    canvas.text(GAP + 2, HEADER / 2, dashboard.title, size=18, fontweight="bold")
    canvas.text(
        WIDTH - GAP - 2, HEADER / 2, _span(times), size=12, color=FAINT, horizontalalignment="right"
    )  # fmt: skip
    for panel in dashboard.panels:
        draw(canvas, box(panel.place), panel, fetch(panel, prometheus, times), times)
    return canvas


def box(place: Place) -> Box:
    """Return a place of the grid in pixels."""
    column = (WIDTH - GAP) / COLUMNS
    return Box(GAP + place.x * column, HEADER + place.y * ROW, place.w * column - GAP, place.h * ROW - GAP)


def _span(times: TimeRange) -> str:
    start, end = (datetime.fromtimestamp(each, UTC) for each in (times.start, times.end))
    return f"{start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
