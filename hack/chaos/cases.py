"""The campaign's cases: every fault at every point of a clean run where it makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hack.chaos.calls import Point
from hack.chaos.faults import Events, KillSeen, KillUnseen, NoFault, Reply, Silence, expired
from hack.chaos.outages import Partition, Stale
from hack.chaos.scenario import START, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hack.chaos.calls import Trace

LATE_SECONDS = 2.0
PARTITION_SECONDS = 60.0


@dataclass(frozen=True)
class Family:
    """One fault, and the points of a clean run at which it is tried."""

    make: Callable[[Point], NoFault]
    points: Callable[[Trace], Iterable[Point]]


@dataclass(frozen=True)
class Case:
    """One fault at one point."""

    fault: str
    point: Point

    def __str__(self) -> str:
        """The case's name."""
        return f"{self.fault}@{self.point}"

    @classmethod
    def parse(cls, text: str) -> Case:
        """The case of that name. Raises ValueError."""
        fault, _, point = text.partition("@")
        if fault not in FAMILIES:
            message = f"{text}: there is no fault {fault!r}, but {', '.join(FAMILIES)}"
            raise ValueError(message)
        return cls(fault, Point.parse(point))

    def make(self) -> NoFault:
        """The fault, ready to strike."""
        return FAMILIES[self.fault].make(self.point)


def derive(trace: Trace) -> list[Case]:
    """Every case that a clean run gives rise to."""
    return [Case(name, point) for name, family in FAMILIES.items() for point in family.points(trace)]


def writes(trace: Trace) -> list[Point]:
    """Each write."""
    return trace.writes


def events(trace: Trace) -> list[Point]:
    """Each watch event."""
    return trace.events


def first_writes(trace: Trace) -> list[Point]:
    """The first write of each kind: what takes long is not tried at every one."""
    return _first(trace.writes)


def first_reads(trace: Trace) -> list[Point]:
    """The first read of each kind: a reconcile reads the same again and again, and fails alike at each."""
    return _first(trace.reads)


def steps(_: Trace) -> list[Point]:
    """The beginning of each step."""
    return [Point(name, "begin", 1) for name in (START, *(step.name for step in STEPS))]


def _first(points: Iterable[Point]) -> list[Point]:
    found: dict[str, Point] = {}
    for point in points:
        found.setdefault(point.label, point)
    return list(found.values())


def _replies() -> dict[str, Family]:
    made = {}
    for name, status in {"409": 409, "410": 410, "429": 429, "500": 500, "cut": None}.items():
        made[f"write-{name}"] = Family(partial(Reply, status=status, done=False), writes)
        made[f"write-{name}-done"] = Family(partial(Reply, status=status, done=True), writes)
        made[f"read-{name}"] = Family(partial(Reply, status=status, done=False), first_reads)
    return made


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
