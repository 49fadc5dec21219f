"""The span of each request, without the client's text: no path, query, header or address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from mcq_service.api.http.access_log import known_method

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mcq_service.telemetry import Tracing

# Requested every few seconds.
_UNTRACED = frozenset({"/startupz", "/readyz", "/livez", "/health", "/answerz", "/trafficz", "/metrics"})


class RequestSpans:
    """Middleware: a span by OpenTelemetry's conventions for HTTP servers, named after the method and the route."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        """Wrap the app."""
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = known_method(scope)
        name = "HTTP" if method == "_OTHER" else method
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        with self._tracing.request(name, headers, **attributes) as span:

            async def send_and_record_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await self._app(scope, receive, send_and_record_status)
            finally:
                if route := getattr(scope.get("route"), "path", None):
                    span.update_name(f"{name} {route}")
                    span.set_attribute("http.route", route)
