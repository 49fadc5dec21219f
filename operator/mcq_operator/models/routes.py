"""Which requests an Ingress or HTTPRoute takes, and whether two of them take the same ones."""

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
"""A path that each Ingress controller reads in its own way, most often as a regular expression."""
_TYPES = {"Exact": EXACT, "Prefix": PREFIX, "PathPrefix": PREFIX}
_LITERAL = re.compile(r"[^.*+?()\[\]{}|\\^$]*")
"""The beginning of a regular expression that stands for itself."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One host and path of an Ingress or HTTPRoute.

    Attributes:
        kind, namespace, name: of the object.
        created: when the object was made, in the API's own form; empty for one that is not made yet.
        host: the host; empty for one that takes what no other host does.
        path: the path, decoded.
        how: how the path is compared: EXACT, PREFIX or PATTERN.
        ingress_class: the Ingress's class.
        gateways: the HTTPRoute's Gateways, as namespace/name.

    """

    kind: str
    namespace: str
    name: str
    created: str
    host: str
    path: str
    how: str = PREFIX
    ingress_class: str = ""
    gateways: frozenset[str] = field(default_factory=frozenset)

    @property
    def object(self) -> tuple[str, str, str]:
        """Which object it is of."""
        return self.kind, self.namespace, self.name

    @property
    def takes(self) -> tuple[str, str, str, str, frozenset[str]]:
        """What it takes."""
        return self.host, self.path, self.how, self.ingress_class, self.gateways

    @property
    def age(self) -> tuple[bool, str, str, str]:
        """Sorts by age, the oldest first, and what is not made yet last."""
        return not self.created, self.created, self.namespace, self.name

    def meets(self, other: "Route") -> bool:
        """Whether a request may be taken by this one that is the other's.

        In one namespace, only where both say the same: its owner may share a host between objects.
        """
        if self.namespace == other.namespace:
            return self.kind == other.kind == INGRESS.kind and self.takes == other.takes
        return self._meets_host(other) and self._meets_path(other)

    def _meets_host(self, other: "Route") -> bool:
        if not self.host:
            # It takes what arrives at its Gateways, and so does any other route of theirs.
            return not self.gateways.isdisjoint(other.gateways)
        if not other.host:
            # Who takes what is left over has no host that one could take from it.
            return False
        return _within(self.host, other.host) or _within(other.host, self.host)

    def _meets_path(self, other: "Route") -> bool:
        if other.how == PATTERN:
            literal = _literal(other.path)
            return literal.startswith(self.path) or self.path.startswith(literal)
        return _below(other.path, self.path) or (other.how == PREFIX and _below(self.path, other.path))


def routes(kind: Kind, manifest: Manifest) -> Iterator[Route]:
    """What an Ingress or HTTPRoute takes."""
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
                how=_TYPES.get(path.get("pathType", ""), PATTERN),
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
                    how=_TYPES.get(path.get("type", "PathPrefix"), PATTERN),
                    gateways=gateways,
                )


def _within(host: str, wildcard: str) -> bool:
    """Whether the host is that one, or among those that a wildcard stands for."""
    return host == wildcard or (wildcard.startswith("*.") and host.endswith(wildcard[1:]))


def _below(path: str, prefix: str) -> bool:
    """Whether the path is that one, or below it."""
    return f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/")


def _literal(pattern: str) -> str:
    found = _LITERAL.match(pattern.removeprefix("^"))
    return found[0] if found else ""
