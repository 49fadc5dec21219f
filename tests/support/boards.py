"""The Prometheus queries of a dashboard, and the numeric series of a response."""

import math
from collections.abc import Iterator
from typing import Any

from hack.pictures.panels import read


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each panel's title and queries, with the variables' current values; rates cover a minute."""
    for panel in read(board, rate_interval="1m", variables={}).panels:
        for query in panel.queries:
            yield panel.title, query.expression


def numbers(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the series of a response without those that are not numbers."""
    return [series for series in answer["data"]["result"] if not math.isnan(float(series["value"][1]))]
