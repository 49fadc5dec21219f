"""The Prometheus queries of a dashboard, and the numeric series of a response."""

import math
from collections.abc import Iterator
from typing import Any


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each panel's title and queries, with the variables' current values; rates cover a minute."""
    variables = {
        each["name"]: str(each["current"]["value"] if "current" in each else each["query"])
        for each in board["templating"]["list"]
    } | {"__rate_interval": "1m"}
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(f"${name}", value)
            yield panel["title"], expression


def numbers(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the series of a response without those that are not numbers."""
    return [series for series in answer["data"]["result"] if not math.isnan(float(series["value"][1]))]
