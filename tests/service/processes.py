"""The service as a process, and a collector that receives its spans."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

START_SECONDS = 120


class Collector:
    """An OTLP/HTTP receiver on the loopback address; `spans` has the received spans, `text` all of them as text."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def spans_of(self, trace_id: str) -> dict[str, Span]:
        """Return the spans of one trace by name."""
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace_id}

    @property
    def text(self) -> str:
        return "\n".join(str(span) for span in self.spans)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Service:
    """A running `python -m mcq_service`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_started(self) -> None:
        until(lambda: self.process.poll() is not None or self._started(), START_SECONDS)
        assert self.process.poll() is None, self.log

    def _started(self) -> bool:
        try:
            return httpx.get(f"{self.url}/startupz").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def service(log: Path, **environment: str) -> Iterator[Service]:
    """Run the service with these variables during the block."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MCQ_", "OTEL_"))}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcq_service"],
            env={**inherited, "MCQ_PORT": str(port), **environment},
            stderr=stderr,
        )
    try:
        yield Service(process, port, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until(condition: Callable[[], object], seconds: float) -> None:
    """Wait until the condition is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
