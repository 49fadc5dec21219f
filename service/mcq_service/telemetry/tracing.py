"""OpenTelemetry traces: one a request, across threads; a client's text is never on a span.

HTTP server span (route) > admit, prefill, decode, parse; a batch span of its own links the requests it served.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.trace import SpanContext
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
    def span(self, name: str, **attributes: AttributeValue) -> Iterator[trace.Span]:
        """A span under the current one, which becomes the current one."""
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                # The type alone: a message may quote what a client wrote.
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def step(self, *, since_ns: int, requests: Sequence[SpanContext], **attributes: AttributeValue) -> None:
        """A step that was made for several requests ends now; `since_ns` is in nanoseconds since the epoch.

        It belongs to no request's trace, and links all of them.
        """
        if requests:
            links = [trace.Link(context) for context in requests]
            self._tracer.start_span(
                "batch", context=Context(), links=links, start_time=since_ns, attributes=attributes
            ).end()

    def shutdown(self) -> None:
        """Send what is left, if it can be sent in a moment: retries must not hold up the end of the process."""
        sending = threading.Thread(target=self.provider.shutdown, name="traces", daemon=True)
        sending.start()
        sending.join(_SHUTDOWN_SECONDS)


def current_trace_id() -> str | None:
    """The current request's trace id, 32 hex digits, or None where it is not sampled."""
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid and span.trace_flags.sampled else None
