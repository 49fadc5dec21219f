"""kopf's lists, read as they pass.

When kopf lists anew, after a 410 or an error, it tells of each object that there is. Of one that has gone meanwhile it
tells nothing, and no event will. So its answers are read here, too, and whoever listens learns what a whole list has.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import msgspec

from .kube import Listing
from .models.kinds import WATCHED, Kind

OK = 200


class _Metadata(msgspec.Struct):
    name: str
    namespace: str


class _Item(msgspec.Struct):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str
    continuation: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMetadata
    items: list[_Item]


_DECODER = msgspec.json.Decoder(_Page)


@dataclass
class Lists:
    """Puts the pages of each list together.

    Attributes:
        listed: told each whole list.

    """

    listed: Callable[[Listing], None]
    _names: dict[tuple[Kind, str | None], set[tuple[str, str]]] = field(default_factory=dict)

    async def read_along(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Pass the answer on, and take it in if it is a page of a list."""
        response = await handler(request)
        scope = None if "watch" in request.url.query else _scope(request.url.path)
        if scope is not None and response.status == OK:
            self._take(scope, await response.read(), first="continue" not in request.url.query)
        return response

    def _take(self, scope: tuple[Kind, str | None], body: bytes, *, first: bool) -> None:
        try:
            page = _DECODER.decode(body)
        except msgspec.DecodeError:
            # kopf can't read it either, and asks again.
            return
        if first:
            self._names[scope] = set()
        names = self._names.get(scope, set())
        names.update((item.metadata.namespace, item.metadata.name) for item in page.items)
        if not page.metadata.continuation:
            self._names.pop(scope, None)
            kind, namespace = scope
            version = int(page.metadata.resource_version)
            self.listed(Listing(kind=kind, namespace=namespace, names=names, version=version))


def _scope(path: str) -> tuple[Kind, str | None] | None:
    """Return the watched kind whose objects the path lists, and their namespace, or None for all."""
    *parts, plural = path.split("/")
    namespace = parts[-1] if parts[-2:-1] == ["namespaces"] else None
    for kind in WATCHED:
        if kind.plural == plural and path.endswith(kind.path(namespace)):
            return kind, namespace
    return None
