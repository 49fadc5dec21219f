"""A reader of kopf's lists. They fill the store when the watches start, and after each 410 or error.

kopf calls its handlers for each object in a list, but not for an object that the list lacks, and no event follows. So
this module reads the pages, and hands them to kopf without objects: kopf needs only the resourceVersion to watch from.

A page is limited in bytes and not only in objects, and only a few are read at once: anyone may create large objects
with our label. Streaming lists (WatchList) would also bound memory, but servers before Kubernetes 1.34 lack them, and
kopf does not show where a streaming list ends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from mcq_operator.api.kinds import METADATA_ONLY, RECONCILED, WATCHED, Kind
from mcq_operator.client.json_depth import decode, decode_shallow
from mcq_operator.client.transport import METADATA_LIST, METADATA_WATCH, TooLongError, read_at_most
from mcq_operator.store import Listing, NamespacedName, Observation, observe

OK = 200
PAGE_SIZE = 100
"""Objects in a page; fewer if the page would be too long."""
LONGEST_PAGE = 8 * 2**20
"""Bytes of a page. One object has at most 1.5 MiB."""
AT_ONCE = 4
"""Pages that are read concurrently."""
Scope = tuple[Kind, str | None]


class Response(aiohttp.ClientResponse):
    """A response of limited length. For a list, kopf gets `page` instead of the server's body."""

    page: dict[str, Any] | None = None

    async def read(self) -> bytes:
        """Read the body. Raises TooLongError."""
        if self._body is None:
            try:
                self._body = await read_at_most(LONGEST_PAGE, self.content, self.url.path)
            except TooLongError:
                self.close()
                raise
        return await super().read()

    def close(self) -> None:
        """Close the connection at once: a graceful end of TLS waits for the server, and kopf's loop may end first."""
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()

    async def json(self, **options: Any) -> Any:
        """Parse the body, unless a page was set."""
        return await super().json(**options) if self.page is None else self.page


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str
    continuation: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMetadata
    # The server sends null for an empty list of metadata.
    items: list[msgspec.Raw] | None


_DECODER = msgspec.json.Decoder(_Page)


@dataclass
class Lists:
    """Joins the pages of each list.

    Attributes:
        on_list: called with each whole list.

    """

    on_list: Callable[[Listing], None]
    _objects: dict[Scope, dict[NamespacedName, Observation]] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def intercept(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send kopf's request; if the response is a page of a list, record its objects."""
        listed, watches = scope(request.url.path), "watch" in request.url.query
        if listed is None:
            return await handler(request)
        if listed[0] in METADATA_ONLY:
            request.headers["Accept"] = METADATA_WATCH if watches else METADATA_LIST
        if watches:
            return await handler(request)
        async with self._turns:
            response = await _bounded(request, handler)
            if response.status == OK and isinstance(response, Response):
                first = "continue" not in request.url.query
                response.page = self._take(listed, await response.read(), first=first)
            return response

    def _take(self, listed: Scope, body: bytes, *, first: bool) -> dict[str, Any] | None:
        """Record a page's objects; return the page without them, or None if it can't be read."""
        kind, namespace = listed
        try:
            page = decode(body, _DECODER.decode)
            decode_item = decode_shallow if kind in RECONCILED else decode
            observed = [observe(kind, decode_item(bytes(item))) for item in page.items or ()]
        except msgspec.DecodeError:
            # kopf can't read it either, and repeats the request.
            return None
        if first:
            self._objects[listed] = {}
        objects = self._objects.setdefault(listed, {})
        objects.update({each.name: each for each in observed})
        version, continuation = page.metadata.resource_version, page.metadata.continuation
        if not continuation:
            del self._objects[listed]
            self.on_list(Listing(kind=kind, namespace=namespace, objects=objects, version=int(version)))
        return {"metadata": {"resourceVersion": version, "continue": continuation}, "items": []}


async def _bounded(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send the request with ever smaller pages until one is short enough. Raises TooLongError."""
    while True:
        response = await handler(request)
        try:
            await response.read()
        except TooLongError:
            limit = int(request.url.query.get("limit", PAGE_SIZE)) // 2
            if limit == 0:
                raise
            request.url = request.url.update_query(limit=limit)
        else:
            return response


def scope(path: str) -> Scope | None:
    """Return the watched kind and the namespace in a list's path; None for any other path.

    The namespace is None for a list of all.
    """
    *parts, plural = path.split("/")
    namespace = parts[-1] if parts[-2:-1] == ["namespaces"] else None
    for kind in WATCHED:
        if kind.plural == plural and path.endswith(kind.path(namespace)):
            return kind, namespace
    return None
