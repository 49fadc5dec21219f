"""The part of Prometheus's HTTP API that panels need: https://prometheus.io/docs/prometheus/latest/querying/api/"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

from hack.pictures.errors import PictureError

_SECONDS = 30
MAX_STEPS = 500


@dataclass(frozen=True)
class TimeRange:
    """The times of a picture, in seconds since 1970: every `step` from `start` to `end`."""

    start: float
    end: float
    step: float
    scrape_seconds: float
    """How often Prometheus scrapes."""

    @classmethod
    def until(cls, end: float, *, seconds: float, scrape_seconds: float) -> TimeRange:
        """Return the last `seconds` before `end`, in steps of scrapes, at most MAX_STEPS of them."""
        step = math.ceil(seconds / MAX_STEPS / scrape_seconds) * scrape_seconds
        last = math.floor(end / step) * step
        return cls(last - math.ceil(seconds / step) * step, last, step, scrape_seconds)

    @property
    def rate_interval(self) -> str:
        """Grafana's $__rate_interval: every step has at least four scrapes for its rate."""
        return f"{max(self.step + self.scrape_seconds, 4 * self.scrape_seconds):g}s"


class Series(NamedTuple):
    """A time series: its labels, and values by time."""

    labels: dict[str, str]
    values: dict[float, float]


class Exemplar(NamedTuple):
    """One observation behind a histogram, such as a traced request's duration."""

    time: float
    value: float


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server."""

    url: str

    def series(self, expression: str, times: TimeRange) -> list[Series]:
        """Return a query's series over the times. Raises PictureError if Prometheus does not answer the query."""
        data = self._fetch("query_range", expression, start=times.start, end=times.end, step=times.step)
        return [
            Series(each["metric"], {float(time): float(value) for time, value in each["values"]})
            for each in data["result"]
        ]

    def exemplars(self, expression: str, times: TimeRange) -> list[Exemplar]:
        """Return the exemplars of the query's series; none if Prometheus does not store them."""
        data = self._fetch("query_exemplars", expression, start=times.start, end=times.end)
        return [
            Exemplar(float(each["timestamp"]), float(each["value"]))
            for series in data
            for each in series["exemplars"]
        ]

    def _fetch(self, path: str, expression: str, **parameters: float) -> Any:
        body = urllib.parse.urlencode({"query": expression, **parameters}).encode()
        url = f"{self.url.rstrip('/')}/api/v1/{path}"
        try:
            with urllib.request.urlopen(url, data=body, timeout=_SECONDS) as response:
                # 204 without a body: the query has no series that could have exemplars.
                return json.load(response)["data"] if response.status != HTTPStatus.NO_CONTENT else []
        except urllib.error.HTTPError as error:
            message = f"Prometheus refuses {expression}: {error.read().decode(errors='replace')}"
            raise PictureError(message) from error
        except OSError as error:
            raise PictureError(f"Prometheus does not answer at {self.url}: {error}") from error
