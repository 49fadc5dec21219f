"""The campaign's cases: every fault at every relevant point of a clean run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.chaos.calls import Point
from tests.chaos.faults import Events, KillSeen, KillUnseen, NoFault, Reply, Silence, expired
from tests.chaos.outages import Partition, Stale
from tests.chaos.scenario import START, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.chaos.calls import Trace

LATE_SECONDS = 2.0
PARTITION_SECONDS = 60.0


@dataclass(frozen=True)
class Family:
    """One fault, and the points of a clean run where it is injected."""

    make: Callable[[Point], NoFault]
    points: Callable[[Trace], Iterable[Point]]


@dataclass(frozen=True)
class Case:
    """One fault at one point."""

    fault: str
    point: Point

    def __str__(self) -> str:
        """Return the case's name."""
        return f"{self.fault}@{self.point}"

    @classmethod
    def parse(cls, text: str) -> Case:
        """Parse a case's name. Raises ValueError."""
        fault, _, point = text.partition("@")
        if fault not in FAMILIES:
            message = f"{text}: there is no fault {fault!r}, but {', '.join(FAMILIES)}"
            raise ValueError(message)
        return cls(fault, Point.parse(point))

    def make(self) -> NoFault:
        """Create the fault."""
        return FAMILIES[self.fault].make(self.point)


def derive(trace: Trace) -> list[Case]:
    """Return every case for the trace of a clean run."""
    return [Case(name, point) for name, family in FAMILIES.items() for point in family.points(trace)]


def writes(trace: Trace) -> list[Point]:
    """Return each write."""
    return trace.writes


def events(trace: Trace) -> list[Point]:
    """Return each watch event."""
    return trace.events


def first_writes(trace: Trace) -> list[Point]:
    """Return the first write of each kind, for slow faults."""
    return _first(trace.writes)


def first_reads(trace: Trace) -> list[Point]:
    """Return the first read of each kind: a reconcile repeats its reads, and each fails in the same way."""
    return _first(trace.reads)


def steps(_: Trace) -> list[Point]:
    """Return the beginning of each step."""
    return [Point(name, "begin", 1) for name in (START, *(step.name for step in STEPS))]


def _first(points: Iterable[Point]) -> list[Point]:
    first: dict[str, Point] = {}
    for point in points:
        first.setdefault(point.label, point)
    return list(first.values())


def _replies() -> dict[str, Family]:
    families = {}
    for name, status in {"409": 409, "410": 410, "429": 429, "500": 500, "cut": None}.items():
        families[f"write-{name}"] = Family(partial(Reply, status=status, done=False), writes)
        families[f"write-{name}-done"] = Family(partial(Reply, status=status, done=True), writes)
        families[f"read-{name}"] = Family(partial(Reply, status=status, done=False), first_reads)
    return families


FAMILIES: dict[str, Family] = {
    "kill-unseen": Family(KillUnseen, writes),
    "kill-seen": Family(KillSeen, writes),
    "event-late": Family(partial(Events, change=lambda line: [line], late=LATE_SECONDS), events),
    "event-lost": Family(partial(Events, change=lambda _: []), events),
    "event-twice": Family(partial(Events, change=lambda line: [line, line]), events),
    "event-expired": Family(partial(Events, change=expired), events),
    "stale-get": Family(partial(Stale, verb="get"), writes),
    "stale-list": Family(partial(Stale, verb="list"), writes),
    **_replies(),
    "write-silent": Family(partial(Silence, done=False), first_writes),
    "write-silent-done": Family(partial(Silence, done=True), first_writes),
    "read-silent": Family(partial(Silence, done=False), first_reads),
    "partition-cut": Family(partial(Partition, lasts=PARTITION_SECONDS, how="cut"), steps),
    "partition-silent": Family(partial(Partition, lasts=PARTITION_SECONDS, how="silent"), steps),
    "partition-503": Family(partial(Partition, lasts=PARTITION_SECONDS, how="503"), steps),
}
