"""The requests that an Ingress or HTTPRoute takes, and whether two of them take the same ones."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

from .base import Manifest
from .kinds import INGRESS, Kind

EXACT = "Exact"
PREFIX = "Prefix"
PATTERN = "Pattern"
"""A path that each Ingress controller interprets in its own way, usually as a regular expression."""
_TYPES = {"Exact": EXACT, "Prefix": PREFIX, "PathPrefix": PREFIX}
_LITERAL = re.compile(r"[^.*+?()\[\]{}|\\^$]*")
"""The literal beginning of a regular expression."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One host and path of an Ingress or HTTPRoute.

    Attributes:
        kind, namespace, name: the object.
        created: the object's creation time, as the API formats it; empty if it does not exist yet.
        host: the host; empty to take the requests that no other host takes.
        path: the path, decoded.
        path_type: how to compare the path: EXACT, PREFIX or PATTERN.
        ingress_class: the Ingress's class.
        gateways: the HTTPRoute's Gateways, as namespace/name.

    """

    kind: str
    namespace: str
    name: str
    created: str
    host: str
    path: str
    path_type: str = PREFIX
    ingress_class: str = ""
    gateways: frozenset[str] = field(default_factory=frozenset)

    @property
    def object(self) -> tuple[str, str, str]:
        """The identity of the route's object."""
        return self.kind, self.namespace, self.name

    @property
    def takes(self) -> tuple[str, str, str, str, frozenset[str]]:
        """The requests that the route takes."""
        return self.host, self.path, self.path_type, self.ingress_class, self.gateways

    @property
    def age(self) -> tuple[bool, str, str, str]:
        """A sort key: the oldest first, and objects that don't exist yet last."""
        return not self.created, self.created, self.namespace, self.name

    def meets(self, other: "Route") -> bool:
        """Return whether this route may take a request meant for the other.

        Within one namespace, only if both are equal: its owner may share a host between objects.
        """
        if self.namespace == other.namespace:
            return self.kind == other.kind == INGRESS.kind and self.takes == other.takes
        return self._meets_host(other) and self._meets_path(other)

    def _meets_host(self, other: "Route") -> bool:
        if not self.host:
            # It takes every request of its Gateways, so it meets all their other routes.
            return not self.gateways.isdisjoint(other.gateways)
        if not other.host:
            # The other takes only leftover requests, so no host can be taken from it.
            return False
        return _within(self.host, other.host) or _within(other.host, self.host)

    def _meets_path(self, other: "Route") -> bool:
        if other.path_type == PATTERN:
            literal = _literal(other.path)
            return literal.startswith(self.path) or self.path.startswith(literal)
        return _below(other.path, self.path) or (other.path_type == PREFIX and _below(self.path, other.path))


def routes(kind: Kind, manifest: Manifest) -> Iterator[Route]:
    """Yield the routes of an Ingress or HTTPRoute."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    route = partial(
        Route,
        kind=kind.kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        created=metadata.get("creationTimestamp", ""),
    )
    if kind is INGRESS:
        return _of_ingress(spec, route)
    return _of_http_route(spec, route, namespace=metadata["namespace"])


def _of_ingress(spec: dict[str, Any], route: partial[Route]) -> Iterator[Route]:
    for entry in spec.get("rules") or []:
        for path in (entry.get("http") or {}).get("paths") or []:
            yield route(
                host=entry.get("host", ""),
                path=unquote(path.get("path") or "/"),
                path_type=_TYPES.get(path.get("pathType", ""), PATTERN),
                ingress_class=spec.get("ingressClassName") or "",
            )


def _of_http_route(spec: dict[str, Any], route: partial[Route], *, namespace: str) -> Iterator[Route]:
    parents = spec.get("parentRefs") or []
    gateways = frozenset(f"{each.get('namespace') or namespace}/{each['name']}" for each in parents)
    for host in spec.get("hostnames") or [""]:
        for entry in spec.get("rules") or [{}]:
            for match in entry.get("matches") or [{}]:
                path = match.get("path") or {}
                yield route(
                    host=host,
                    path=unquote(path.get("value") or "/"),
                    path_type=_TYPES.get(path.get("type", "PathPrefix"), PATTERN),
                    gateways=gateways,
                )


def _within(host: str, wildcard: str) -> bool:
    """Return whether a host equals `wildcard` or matches it."""
    return host == wildcard or (wildcard.startswith("*.") and host.endswith(wildcard[1:]))


def _below(path: str, prefix: str) -> bool:
    """Return whether a path equals `prefix` or is below it."""
    return f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/")


def _literal(pattern: str) -> str:
    match = _LITERAL.match(pattern.removeprefix("^"))
    return match[0] if match else ""
