"""Pages of a list of other users' objects, which may be large. Only what names a route is decoded."""

from functools import partial
from typing import Any, NotRequired, TypedDict

import msgspec

from .json_depth import decode

PAGE_SIZE = 100
"""Objects in a page; fewer if the page would be too long."""


class _Metadata(TypedDict):
    name: str
    namespace: str
    creationTimestamp: NotRequired[str]


class _Object(TypedDict):
    metadata: _Metadata
    spec: NotRequired[dict[str, Any] | None]


_ListMetadata = TypedDict("_ListMetadata", {"continue": NotRequired[str]})


class _Page(TypedDict):
    metadata: _ListMetadata
    items: list[_Object] | None


decode_page = partial(decode, decoder=msgspec.json.Decoder(_Page).decode)
"""Decode a page: of each object, the name, the creation time and the spec. Raises DecodeError."""
