"""The cost of telemetry: one replica traces every question and is scraped, another does neither."""

from __future__ import annotations

import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.procfs import cpu_seconds
from benchmarks.service import replica_process
from benchmarks.service.workload import SCENARIOS, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.service.workload import Question

ROUNDS = 8
TURN = Scenario("answer only, 24 at once", 24, 24, 0)
SCRAPE_SECONDS = 5.0


@dataclass(frozen=True)
class Turn:
    """Seconds that a replica took for its questions: wall clock, and CPU."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Cost:
    """The relative extra time of the replica with telemetry, one value per round."""

    wall: list[float]
    cpu: list[float]
    exports: int

    def __str__(self) -> str:
        """Return the medians and spreads."""
        parts = [
            f"{median(shares):+.1%} {name} ({min(shares):+.1%} to {max(shares):+.1%})"
            for name, shares in (("time", self.wall), ("processor time", self.cpu))
        ]
        return f"telemetry, {len(self.wall)} rounds of {TURN.name}: {', '.join(parts)}"


def measure(precision: str, questions: Sequence[Question]) -> Cost | None:
    """Send both replicas the same questions in turns, alternating which goes first; None if the exam has too few.

    Both replicas count their metrics, because that can't be switched off.
    """
    fresh = questions[sum(scenario.questions for scenario in SCENARIOS) :]
    rounds = min(ROUNDS, len(fresh) // TURN.questions)
    if not rounds:
        return None
    with (
        _collector() as collector,
        replica_process.service(precision) as bare,
        replica_process.service(
            precision, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_TRACES_SAMPLER="always_on"
        ) as traced,
        _scraping(traced.url),
    ):
        for replica in (bare, traced):
            replica_process.measure(replica, TURN, questions[: TURN.questions])
        pairs = []
        for number in range(rounds):
            asked = fresh[number * TURN.questions :][: TURN.questions]
            order = (bare, traced) if number % 2 else (traced, bare)
            took = {replica.url: _turn(replica, asked) for replica in order}
            pairs.append((took[bare.url], took[traced.url]))
        if not collector.exports:
            raise RuntimeError("No span was exported, so there is nothing to compare.")
        return Cost(
            [with_.wall / without.wall - 1 for without, with_ in pairs],
            [with_.cpu / without.cpu - 1 for without, with_ in pairs],
            collector.exports,
        )


def _turn(replica: replica_process.Service, questions: Sequence[Question]) -> Turn:
    before = cpu_seconds(replica.process.pid)
    measured = replica_process.measure(replica, TURN, questions)
    return Turn(measured.seconds, cpu_seconds(replica.process.pid) - before)


@dataclass
class _Collector:
    """Accepts spans and discards them, so that storing them is not part of the replica's cost."""

    url: str
    exports: int = 0


@contextmanager
def _collector() -> Iterator[_Collector]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            collector.exports += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = _Collector(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collector
        server.shutdown()


@contextmanager
def _scraping(url: str) -> Iterator[None]:
    """Read the replica's metrics as often as the demo's Prometheus does."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(SCRAPE_SECONDS):
            with urllib.request.urlopen(f"{url}/metrics", timeout=SCRAPE_SECONDS) as response:
                response.read()

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
