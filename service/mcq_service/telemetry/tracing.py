"""OpenTelemetry traces: one for each request, across threads, and never with a client's text.

HTTP server span (route) > admit, prefill, decode, parse. Each step has a batch span of its own, with links to the
requests that it served.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
    from opentelemetry.util.types import Attributes, AttributeValue

_SHUTDOWN_SECONDS = 2
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing:
    """Creates spans and sends them to OTEL_EXPORTER_OTLP_ENDPOINT, if that is set."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read OpenTelemetry's own variables: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and the exporter's."""
        name = environment.get("OTEL_SERVICE_NAME", "mcq-service")
        self.provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
        self.provider.sampler = _OwnRatio(self.provider.sampler)
        if any(environment.get(variable) for variable in _ENDPOINTS):
            self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self.provider.get_tracer("mcq_service")

    def request(
        self, name: str, headers: Mapping[str, str], **attributes: AttributeValue
    ) -> AbstractContextManager[trace.Span]:
        """Open the span of a whole request; it continues the trace in the headers."""
        return self._span(name, propagate.extract(headers), trace.SpanKind.SERVER, attributes)

    def span(self, name: str, **attributes: AttributeValue) -> AbstractContextManager[trace.Span]:
        """Open a child of the current span and make it the current one."""
        return self._span(name, None, trace.SpanKind.INTERNAL, attributes)

    @contextmanager
    def _span(
        self, name: str, parent: Context | None, kind: SpanKind, attributes: Attributes
    ) -> Iterator[trace.Span]:
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                # Only the type: a message may quote a client's text.
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def step(self, *, since_ns: int, requests: Sequence[SpanContext], **attributes: AttributeValue) -> None:
        """Record a step that ends now; `since_ns` is in nanoseconds since the epoch.

        The span belongs to no request's trace, and links all requests of the step.
        """
        if requests:
            links = [trace.Link(context) for context in requests]
            self._tracer.start_span(
                "batch", context=Context(), links=links, start_time=since_ns, attributes=attributes
            ).end()

    def shutdown(self) -> None:
        """Send the remaining spans, within two seconds: retries must not hold up the end of the process."""
        sending = threading.Thread(target=self.provider.shutdown, name="traces", daemon=True)
        sending.start()
        sending.join(_SHUTDOWN_SECONDS)


class _OwnRatio(Sampler):
    """Applies the configured ratio to callers' traces too, and drops traces that their callers do not sample.

    So clients can't make the replica send more spans than the configured ratio.
    """

    def __init__(self, configured: Sampler) -> None:
        self._configured = configured
        self._ids = RandomIdGenerator()

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See OpenTelemetry."""
        caller = trace.get_current_span(parent_context).get_span_context()
        if not caller.is_remote:
            return self._configured.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        context = Context() if caller.trace_flags.sampled else parent_context
        # Samplers decide by the trace id, and the caller can choose it: use a random one.
        random_id = self._ids.generate_trace_id()
        result = self._configured.should_sample(
            context, random_id, name, kind, attributes, links, trace_state
        )
        return SamplingResult(result.decision, result.attributes, caller.trace_state)

    def get_description(self) -> str:
        """See OpenTelemetry."""
        return f"OwnRatio{{{self._configured.get_description()}}}"


def sampled_span() -> SpanContext | None:
    """Return the current request's span, or None if it is not sampled."""
    span = trace.get_current_span().get_span_context()
    return span if span.is_valid and span.trace_flags.sampled else None


def current_trace_id() -> str | None:
    """Return the current request's trace id, 32 hex digits, or None if it is not sampled."""
    span = sampled_span()
    return trace.format_trace_id(span.trace_id) if span else None
