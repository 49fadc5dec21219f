"""OpenTelemetry traces: one a request, across threads; a client's text is never on a span.

HTTP server span (route) > admit > prefill > decode > parse.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

_SHUTDOWN_SECONDS = 2
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing:
    """Makes spans; sends them where OTEL_EXPORTER_OTLP_ENDPOINT says, nowhere if it is unset."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and the exporter's variables are OpenTelemetry's own."""
        name = environment.get("OTEL_SERVICE_NAME", "mcq-service")
        self.provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
        if any(environment.get(variable) for variable in _ENDPOINTS):
            self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self.provider.get_tracer("mcq_service")

    @contextmanager
    def span(self, name: str, parent: Context, **attributes: AttributeValue) -> Iterator[None]:
        """A span under `parent`.

        It does not become the thread's current one: the requests that take turns on a thread would get mixed up.
        """
        span = self._tracer.start_span(name, context=parent, attributes=attributes)
        try:
            yield
        except Exception as error:
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end()

    def waited(self, name: str, parent: Context, *, since_ns: int) -> None:
        """A span under `parent` for a wait that ends now; `since_ns` is in nanoseconds since the epoch."""
        self._tracer.start_span(name, context=parent, start_time=since_ns).end()

    def shutdown(self) -> None:
        """Send what is left, if it can be sent in a moment: retries must not hold up the end of the process."""
        sending = threading.Thread(target=self.provider.shutdown, name="traces", daemon=True)
        sending.start()
        sending.join(_SHUTDOWN_SECONDS)


def current() -> Context:
    """The context of the request being handled, to give to another thread."""
    return otel_context.get_current()


def current_trace_id() -> str | None:
    """The current request's trace id, 32 hex digits, or None where it is not sampled."""
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid and span.trace_flags.sampled else None
