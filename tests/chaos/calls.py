"""The operator's requests to the API server, and a name for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
READS = ("get", "list", "watch", "discover")


@dataclass(frozen=True)
class Call:
    """One request, in RBAC's terms."""

    verb: str
    resource: str
    name: str = ""

    @classmethod
    def parse(cls, method: str, path: str, query: str) -> Call:
        """Parse a request's method and path: `/apis/GROUP/VERSION/namespaces/NS/RESOURCE/NAME/SUBRESOURCE`."""
        parts = path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if not rest:
            return cls("discover", path.strip("/"))
        if rest[0] == "namespaces" and len(rest) > 2:
            rest = rest[2:]
        resource, name, subresource, *_ = [*rest, "", ""]
        resource = f"{resource}.{subresource}" if subresource else resource
        if method != "GET":
            return cls(VERBS[method], resource, name)
        if parse_qs(query).get("watch"):
            return cls("watch", resource)
        return cls("get" if name else "list", resource, name)

    @property
    def writes(self) -> bool:
        """True if the request is a write."""
        return self.verb not in READS

    @property
    def label(self) -> str:
        """A name that is the same in each run."""
        return ".".join(part.replace("/", ".") for part in (self.verb, self.resource, self.name) if part)


class Point(NamedTuple):
    """A moment of the scenario: the n-th occurrence of a request or event in a step."""

    step: str
    label: str
    nth: int

    def __str__(self) -> str:
        """Return `STEP/LABEL#NTH`."""
        return f"{self.step}/{self.label}#{self.nth}"

    @classmethod
    def parse(cls, text: str) -> Point:
        """Parse `STEP/LABEL#NTH`. Raises ValueError."""
        step, _, rest = text.partition("/")
        label, _, nth = rest.rpartition("#")
        return cls(step, label, int(nth))


class Trace:
    """Every point of a run so far, in order."""

    def __init__(self, step: str) -> None:
        """Start in `step`."""
        self.step = step
        self.writes: list[Point] = []
        self.reads: list[Point] = []
        self.events: list[Point] = []
        self._counts: Counter[tuple[str, str]] = Counter()

    def call(self, call: Call) -> Point:
        """Record a request."""
        return self._record(call.label, self.writes if call.writes else self.reads)

    def event(self, resource: str, kind: str) -> Point:
        """Record a watch event of `kind`, such as ADDED."""
        return self._record(f"{kind}.{resource}", self.events)

    def _record(self, label: str, points: list[Point]) -> Point:
        self._counts[self.step, label] += 1
        points.append(Point(self.step, label, self._counts[self.step, label]))
        return points[-1]
