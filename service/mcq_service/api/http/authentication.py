"""Check API keys: `Authorization: Bearer` with one of the configured keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from opentelemetry import trace

from mcq_service.api.http.errors import counted_response
from mcq_service.api.problems import Unauthorized

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mcq_service.runtime.api_keys import ApiKeys

# Probes and scrapes have no key; the page asks its reader for one.
_OPEN = frozenset(
    {
        "/",
        "/startupz",
        "/readyz",
        "/health",
        "/livez",
        "/answerz",
        "/trafficz",
        "/metrics",
        "/docs",
        "/openapi.json",
    }
)
_OPEN_BELOW = ("/page/", "/docs/")
_BEARER = re.compile(rb"bearer +([!-~]+) *", re.IGNORECASE)
_SPAN_ATTRIBUTE = "enduser.id"  # of OpenTelemetry's semantic conventions


def needs_key(path: str) -> bool:
    """Return whether a path needs a key. Unknown paths do."""
    return path not in _OPEN and not path.startswith(_OPEN_BELOW)


class RequireKey:
    """Middleware: passes on requests with a valid key, and notes the key's name; answers others with 401."""

    def __init__(self, app: ASGIApp, *, keys: ApiKeys) -> None:
        """Wrap the app."""
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http" or not needs_key(scope["path"]):
            await self._app(scope, receive, send)
            return
        key = _bearer(scope)
        name = self._keys.name_of(key) if key is not None else None
        if name is None:
            await counted_response(scope, _unauthorized(sent=key is not None))(scope, receive, send)
            return
        scope.setdefault("state", {})["key_name"] = name
        trace.get_current_span().set_attribute(_SPAN_ATTRIBUTE, name)
        await self._app(scope, receive, send)


def _bearer(scope: Scope) -> str | None:
    """Return the request's key; None if it has none, or several (a proxy may have checked another one)."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    match = _BEARER.fullmatch(sent[0]) if len(sent) == 1 else None
    return match[1].decode("ascii") if match else None


def _unauthorized(*, sent: bool) -> Unauthorized:
    challenge = 'Bearer realm="mcq"'
    if sent:
        challenge += ', error="invalid_token", error_description="No such key"'
        detail = "The service does not know this key, or no longer accepts it."
    else:
        detail = "Send the header Authorization: Bearer <key>; ask the operator of this service for a key."
    return Unauthorized(detail, headers={"WWW-Authenticate": challenge})
