"""kopf's way to the API server, on which an odd answer is waited out instead of ending the process.

kopf ends at once, and the process with it, when a list or a watch is answered with 409 or 410, or with 404 because its
CRD was removed, and after a minute of tries when it is answered with 5xx: an API server behind a load balancer that is
away for longer than that. At 429 it tries as long, and then lists anew.
"""

from typing import Any, Protocol

import aiohttp
import kopf

from .lists import Lists, Response
from .models.kinds import WATCHED

PASSING = frozenset({409, 410})
NOT_FOUND = 404
SERVER_ERROR = 500
TOO_MANY_REQUESTS = 429

_PLURALS = frozenset(kind.plural for kind in WATCHED)


class Memo(Protocol):
    """The part of the handlers' memo that is needed here."""

    @property
    def lists(self) -> Lists:
        """The reader of kopf's lists."""


async def login(*, memo: Memo, **kwargs: Any) -> kopf.AiohttpSession | None:
    """As the Pod's service account or, outside a cluster, by KUBECONFIG."""
    found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
    if found is None:
        return None
    return kopf.AiohttpSession(
        server=found.server,
        default_namespace=found.default_namespace,
        aiohttp_session=aiohttp.ClientSession(
            response_class=Response,
            connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
            headers=found.as_http_headers(),
            proxy=found.proxy_url,
            trust_env=found.trust_env,
            middlewares=(waited_out, memo.lists.read_along),
        ),
    )


async def waited_out(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The answer, as a 429 where kopf would give up although another try may help.

    404 of an API group stays: by it kopf learns that a kind is not installed. Of a kind that it watches it is waited
    out until the operator's own discovery finds it gone, and ends its watch. 401 stays, at which kopf logs in anew,
    and 403, which tells of missing rights and must be noticed.
    """
    response = await handler(request)
    removed = response.status == NOT_FOUND and request.url.name in _PLURALS
    if removed or response.status in PASSING or response.status >= SERVER_ERROR:
        response.status = TOO_MANY_REQUESTS
    return response
