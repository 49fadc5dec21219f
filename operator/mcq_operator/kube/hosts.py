"""Which Ingresses and HTTPRoutes have a host and path already.

Nothing in the API server refuses a second one with the same, or with a longer path on another team's host: the Ingress
controller sends the requests to one of them. So all Ingresses and HTTPRoutes are listed, seldom, for all solvers.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from mcq_operator.models import Manifest
from mcq_operator.models.kinds import HTTP_ROUTE, INGRESS, Kind
from mcq_operator.models.observed import Rival
from mcq_operator.models.routes import Route, routes

from .api import Api

SELDOM_SECONDS = 30.0
SOON_SECONDS = 2.0


class Hosts:
    """The routes of all Ingresses and HTTPRoutes in the operator's namespaces, as they were listed last."""

    def __init__(self, api: Api, *, scopes: Iterable[str | None], clock: Callable[[], float]) -> None:
        """`scopes` are the namespaces, or None for all; `clock` is monotonic, in seconds."""
        self._api = api
        self._scopes = list(scopes)
        self._clock = clock
        self._listed = float("-inf")
        self._listing = asyncio.Lock()
        self._routes: set[Route] = set()

    async def rival(self, kind: Kind, desired: Manifest, live: Manifest | None) -> Rival | None:
        """Return the older object that takes requests of the desired one. Raises ClusterError.

        What `live`, the object as it is, does not take yet is younger than all that is there. What is not on the list
        yet is looked for anew: at most every two seconds for a new object, whose age will decide, and at once for an
        older one that is to take something else.
        """
        own = _own(kind, desired, live)
        if self._routes.issuperset(own):
            await self._list(SELDOM_SECONDS)
        else:
            await self._list(0.0 if live and not all(route.created for route in own) else SOON_SECONDS)
        older = (
            other
            for route in own
            for other in self._routes
            if other.object != route.object and other.age < route.age and route.meets(other)
        )
        namespace = desired["metadata"]["namespace"]
        first = min(older, default=None, key=lambda route: (route.namespace == namespace, route.age))
        if first is None:
            return None
        return Rival(
            ref=f"{first.kind} {first.namespace}/{first.name}",
            route=f"{first.host}{first.path}",
            elsewhere=first.namespace != namespace,
        )

    def listed(self, kind: Kind, live: Manifest) -> bool:
        """Whether the list has all that an object takes; before that, two may have come at the same time."""
        return self._routes.issuperset(routes(kind, live))

    async def _list(self, seconds: float) -> None:
        asked = self._clock()
        # Whoever asks while it is listed waits: what is not on an old list may be there all the same.
        async with self._listing:
            if asked - self._listed < seconds:
                return
            started = self._clock()
            wanted = [(kind, namespace) for namespace in self._scopes for kind in (INGRESS, HTTP_ROUTE)]
            lists = await asyncio.gather(
                *(self._api.list(kind, namespace=namespace) for kind, namespace in wanted)
            )
            self._routes = {
                route
                for (kind, _), items in zip(wanted, lists, strict=True)
                for item in items
                for route in routes(kind, item)
            }
            self._listed = started


def _own(kind: Kind, desired: Manifest, live: Manifest | None) -> set[Route]:
    """What the desired object takes; where the live one takes the same, since that was made."""
    since = {route.takes: route.created for route in routes(kind, live)} if live else {}
    return {replace(route, created=since.get(route.takes, "")) for route in routes(kind, desired)}
