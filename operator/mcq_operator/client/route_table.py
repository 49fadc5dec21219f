"""The hosts and paths that Ingresses and HTTPRoutes have already taken.

The API server accepts a second one with the same host and path, or with a longer path on another team's host. The
Ingress controller sends the requests to one of them. So the operator lists all Ingresses and HTTPRoutes, rarely and
once for all solvers.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain

from mcq_operator.api import Manifest
from mcq_operator.api.kinds import HTTP_ROUTE, INGRESS, Kind
from mcq_operator.api.observed import Rival
from mcq_operator.api.routes import Route, routes

from .client import Client
from .scopes import Scopes

LIST_SECONDS = 30.0
MIN_LIST_SECONDS = 2.0


class RouteTable:
    """The routes of all Ingresses and HTTPRoutes in the operator's namespaces, from the last list."""

    def __init__(self, client: Client, *, scopes: Scopes, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._client = client
        self._scopes = scopes
        self._clock = clock
        self._listed = float("-inf")
        self._listing = asyncio.Lock()
        self._routes: set[Route] = set()
        self._by_host: dict[str, list[Route]] = {}

    async def rival(self, kind: Kind, desired: Manifest, live: Manifest | None) -> Rival | None:
        """Return the older object that takes requests of the desired one. Raises ClusterError.

        Routes that the `live` object lacks count as the youngest. If the last list lacks one of the routes, list
        again: at once if an existing object gets new routes, and at most every two seconds for a new object.
        """
        own = _own(kind, desired, live)
        if self._routes.issuperset(own):
            await self._list(LIST_SECONDS)
        else:
            await self._list(0.0 if live and not all(route.created for route in own) else MIN_LIST_SECONDS)
        older = (
            other
            for route in own
            for other in self._candidates(route)
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

    def has_all(self, kind: Kind, live: Manifest) -> bool:
        """Return whether the list has all of the object's routes. If not, it may lack a rival of the same moment."""
        return self._routes.issuperset(routes(kind, live))

    def _candidates(self, route: Route) -> Iterable[Route]:
        """Return at least the routes that this one meets: with many solvers, nearly all have other hosts."""
        if not route.host or route.host.startswith("*."):
            return self._routes
        _, *parents = route.host.split(".")
        wildcards = ("*." + ".".join(parents[start:]) for start in range(len(parents)))
        return chain.from_iterable(self._by_host.get(host, ()) for host in (route.host, *wildcards))

    async def _list(self, seconds: float) -> None:
        called = self._clock()
        # Wait for a list that is under way: the old one may lack objects that exist.
        async with self._listing:
            if called - self._listed < seconds:
                return
            started = self._clock()
            scopes = [(kind, namespace) for namespace in self._scopes for kind in (INGRESS, HTTP_ROUTE)]
            lists = await asyncio.gather(
                *(
                    self._scopes.read(kind, namespace, self._read(kind, namespace))
                    for kind, namespace in scopes
                )
            )
            self._routes = set().union(*(each for each in lists if each is not None))
            self._by_host = {}
            for route in self._routes:
                self._by_host.setdefault(route.host, []).append(route)
            self._listed = started

    async def _read(self, kind: Kind, namespace: str | None) -> set[Route]:
        """Return the routes of all objects of the kind. Raises ClusterError."""
        return {
            route
            async for page in self._client.pages(kind, namespace=namespace)
            for item in page
            for route in routes(kind, item)
        }


def _own(kind: Kind, desired: Manifest, live: Manifest | None) -> set[Route]:
    """Return the desired object's routes, with the creation time of the live object for those that it has already."""
    since = {route.takes: route.created for route in routes(kind, live)} if live else {}
    return {replace(route, created=since.get(route.takes, "")) for route in routes(kind, desired)}
