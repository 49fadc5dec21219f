"""What a dashboard asks Prometheus, and what of the answer is a number."""

import math
from collections.abc import Iterator
from typing import Any


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each panel's title with its queries, variables filled in as Grafana does; a rate is over a minute."""
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
    """The series of a query's answer, but for those that are not numbers."""
    return [series for series in answer["data"]["result"] if not math.isnan(float(series["value"][1]))]
