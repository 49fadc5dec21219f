"""kopf's login to the API server. It makes kopf retry after a bad answer instead of ending the process.

kopf ends at once, and the process with it, if a list or a watch returns 409 or 410, or 404 because the CRD was
removed. After 5xx, kopf tries again for a minute and then ends, but a load balancer may be without an API server for
longer. After 429, kopf also tries again for a minute, but then lists again.
"""

from dataclasses import dataclass
from typing import Any

import aiohttp
import kopf

from mcq_operator.api.kinds import WATCHED

from .lists import Lists, Response, scope
from .watch_events import Events

TRANSIENT = frozenset({409, 410})
FORBIDDEN = 403
NOT_FOUND = 404
SERVER_ERROR = 500
TOO_MANY_REQUESTS = 429

_PLURALS = frozenset(kind.plural for kind in WATCHED)


@dataclass(frozen=True)
class HandlerMemo:
    """The readers of kopf's lists and watches: the context of the login and the handlers."""

    lists: Lists
    events: Events


async def login(*, memo: HandlerMemo, **kwargs: Any) -> kopf.AiohttpSession | None:
    """Return a session with the Pod's service account or, outside a cluster, with KUBECONFIG."""
    connection = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
    if connection is None:
        return None
    return kopf.AiohttpSession(
        server=connection.server,
        default_namespace=connection.default_namespace,
        aiohttp_session=aiohttp.ClientSession(
            response_class=Response,
            connector=aiohttp.TCPConnector(limit=0, ssl=connection.as_ssl_context()),
            headers=connection.as_http_headers(),
            proxy=connection.proxy_url,
            trust_env=connection.trust_env,
            middlewares=(retryable, memo.lists.intercept, memo.events.intercept),
        ),
    )


async def retryable(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Turn a status that ends kopf into 429 if another try may help.

    404 for an API group stays: it tells kopf that a kind is not installed. 404 for a watched kind becomes 429 until
    the operator's own discovery notices that the kind is gone, and ends its watch. 401 stays, which makes kopf log in
    again. 403 stays for a list of all namespaces, because missing permissions must be noticed. 403 for one namespace
    becomes 429: someone may have deleted it, and the operator's rights with it, and the others must not suffer.
    """
    response = await handler(request)
    removed = response.status == NOT_FOUND and request.url.name in _PLURALS
    refused = response.status == FORBIDDEN and _is_of_one_namespace(request.url.path)
    if removed or refused or response.status in TRANSIENT or response.status >= SERVER_ERROR:
        response.status = TOO_MANY_REQUESTS
    return response


def _is_of_one_namespace(path: str) -> bool:
    """Return whether it is the path of a list or a watch in a single namespace."""
    watched = scope(path)
    return watched is not None and watched[1] is not None
