"""Which Ingress has a host and path already: two of them with the same make an Ingress controller choose one.

Nothing in the API server refuses the second one. So all Ingresses are listed, seldom, for all solvers at once.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from mcq_operator.models import Manifest
from mcq_operator.models.kinds import INGRESS

from .api import Api

SELDOM_SECONDS = 30.0
SOON_SECONDS = 2.0


class Route(NamedTuple):
    """What an Ingress routes, and since when."""

    host: str
    path: str
    ingress_class: str
    created: str
    namespace: str
    name: str

    def same_way(self, other: "Route") -> bool:
        """Whether both would get the same requests."""
        return (self.host, self.path, self.ingress_class) == (other.host, other.path, other.ingress_class)


class Hosts:
    """The routes of all Ingresses in the operator's namespaces, as they were listed last."""

    def __init__(self, api: Api, *, scopes: Iterable[str | None], clock: Callable[[], float]) -> None:
        """`scopes` are the namespaces, or None for all; `clock` is monotonic, in seconds."""
        self._api = api
        self._scopes = list(scopes)
        self._clock = clock
        self._listed = float("-inf")
        self._routes: set[Route] = set()

    async def rival(self, ingress: Manifest) -> str | None:
        """The older Ingress with a host and path of this one, as namespace/name. Raises ClusterError.

        An Ingress that is newer than the list is looked for anew, at most every two seconds.
        """
        own = set(routes(ingress))
        await self._list(SELDOM_SECONDS if own <= self._routes else SOON_SECONDS)
        older = (
            other
            for route in own
            for other in self._routes - own
            if route.same_way(other) and (other.created, other.namespace, other.name) < route[3:]
        )
        first = min(older, default=None, key=lambda route: route.created)
        return f"{first.namespace}/{first.name}" if first else None

    async def _list(self, seconds: float) -> None:
        if self._clock() - self._listed < seconds:
            return
        # Before the answer: whoever asks meanwhile is content with the list that is there.
        self._listed = self._clock()
        found: set[Route] = set()
        for namespace in self._scopes:
            for ingress in await self._api.list(INGRESS, namespace=namespace):
                found.update(routes(ingress))
        self._routes = found


def routes(ingress: Manifest) -> Iterator[Route]:
    """What an Ingress, as the API server returns it, routes."""
    metadata, spec = ingress["metadata"], ingress["spec"]
    for entry in spec.get("rules", []):
        for path in (entry.get("http") or {}).get("paths", []):
            yield Route(
                host=entry.get("host", ""),
                path=path.get("path", "/"),
                ingress_class=spec.get("ingressClassName", ""),
                created=metadata["creationTimestamp"],
                namespace=metadata["namespace"],
                name=metadata["name"],
            )
