"""A scripted engine, and a replica around it without a process or a socket."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mcq_service import app
from mcq_service.answering import Answering, Defaults
from mcq_service.lifecycle import Lifecycle
from mcq_service.scheduling import Scheduler
from mcq_service.telemetry import Metrics, Tracing

ANSWER = "/api/v1/mcq/answer"
QUESTION: dict[str, Any] = {"question": "Which is a fruit?", "choices": ["stone", "apple", "car"]}


async def until(true: Callable[[], object], seconds: float = 10) -> None:
    """Wait for what the engine's thread does; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - it is another thread's
            await asyncio.sleep(0.002)


async def sample(client: httpx.AsyncClient, name: str) -> float:
    """The value of one sample of /metrics, 0 where it has not been counted yet."""
    text = (await client.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@dataclass
class FakeSequence:
    """What the engine was asked to read, and what it will write."""

    user: str
    pieces: Iterator[str]
    prompt_tokens: int = 30
    cached_tokens: int = 20
    completion_tokens: int = 0
    forced: str = ""


@dataclass
class FakeEngine:
    """Chooses `best` (an index) and writes `pieces`; a step waits for `gate`, and raises `error` if there is one."""

    best: int = 1
    pieces: Sequence[str] = ("Because ", "so.", '"')
    error: Exception | None = None
    name: str = "fake/model"
    gate: threading.Event = field(default_factory=threading.Event)
    users: list[str] = field(default_factory=list)
    decoded: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def start(self, prefix: str, user: str, suffix: str, *, room: int) -> FakeSequence:
        self.users.append(user)
        self._step()
        return FakeSequence(user, iter(self.pieces))

    def probabilities(self, sequence: FakeSequence, labels: Sequence[str]) -> list[float]:
        rest = 0.3 / (len(labels) - 1)
        return [0.7 if index == self.best else rest for index in range(len(labels))]

    def force(self, sequence: FakeSequence, text: str) -> None:
        sequence.forced += text

    def decode(self, sequence: FakeSequence) -> str | None:
        self._step()
        self.decoded += 1
        sequence.completion_tokens += 1
        return next(sequence.pieces, None)

    def _step(self) -> None:
        assert self.gate.wait(10), "a test left the engine's gate closed"
        if self.error:
            raise self.error


@dataclass
class Replica:
    """One replica in this process; call `load` to make it ready."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=lambda: Tracing({}))
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        self.tracing.provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.app = app.build(self.lifecycle, metrics=self.metrics, tracing=self.tracing)

    def load(
        self,
        *,
        max_queued: int = 8,
        max_active: int = 2,
        deadline_seconds: float = 30,
        clock: Callable[[], float] | None = None,
    ) -> None:
        timing = {"clock": clock} if clock else {}
        scheduler = Scheduler(self.engine, max_queued=max_queued, max_active=max_active, **timing)
        defaults = Defaults(mode="explain", max_reasoning_tokens=8, deadline_seconds=deadline_seconds)
        answering = Answering(
            scheduler, model=self.engine.name, defaults=defaults, metrics=self.metrics, tracing_=self.tracing
        )
        self.metrics.watch_queue(lambda: scheduler.queued)
        self.lifecycle.ready(scheduler=scheduler, answering=answering)

    @property
    def scheduler(self) -> Scheduler:
        assert self.lifecycle.scheduler is not None, "load() comes first"
        return self.lifecycle.scheduler

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://replica")

    def close(self) -> None:
        self.engine.gate.set()
        if self.lifecycle.scheduler:
            self.lifecycle.scheduler.stop()
        self.tracing.shutdown()
