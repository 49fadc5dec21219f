"""Who may ask: `Authorization: Bearer` with one of the configured keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from opentelemetry import trace

from mcq_service.api.http.errors import counted
from mcq_service.api.problems import Unauthorized

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mcq_service.runtime.api_keys import Keys

# Probes and scrapes have no key; the page asks its reader for one.
_OPEN = frozenset({"/", "/startupz", "/readyz", "/livez", "/answerz", "/metrics", "/docs", "/openapi.json"})
_OPEN_BELOW = ("/page/", "/docs/")
_BEARER = re.compile(rb"bearer +([!-~]+) *", re.IGNORECASE)
_SPAN_ATTRIBUTE = "enduser.id"  # of OpenTelemetry's semantic conventions


def needs_key(path: str) -> bool:
    """Whether the path is not open to everybody; unknown ones are not."""
    return path not in _OPEN and not path.startswith(_OPEN_BELOW)


class RequireKey:
    """Middleware: lets a request with a good key pass, under the key's name; answers others with 401."""

    def __init__(self, app: ASGIApp, *, keys: Keys) -> None:
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
            await counted(scope, _refusal(sent=key is not None))(scope, receive, send)
            return
        scope.setdefault("state", {})["key_name"] = name
        trace.get_current_span().set_attribute(_SPAN_ATTRIBUTE, name)
        await self._app(scope, receive, send)


def _bearer(scope: Scope) -> str | None:
    """The key that was sent; None where there is none, or several, of which a proxy may have checked another."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    found = _BEARER.fullmatch(sent[0]) if len(sent) == 1 else None
    return found[1].decode("ascii") if found else None


def _refusal(*, sent: bool) -> Unauthorized:
    challenge = 'Bearer realm="mcq"'
    if sent:
        challenge += ', error="invalid_token", error_description="No such key"'
        detail = "This key is not, or no longer, one of the service's."
    else:
        detail = "Send the header Authorization: Bearer <key>; whoever runs the service has the keys."
    return Unauthorized(detail, headers={"WWW-Authenticate": challenge})
