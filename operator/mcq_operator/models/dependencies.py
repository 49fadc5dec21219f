"""Which objects an object depends on, read from the names in its manifest.

A Deployment runs as the ServiceAccount that it names, an Ingress leads to the Service that it names. Where that name
is someone else's, the object would use what its author may have no right to.
"""

from collections.abc import Iterator
from typing import Any

from .base import Manifest
from .kinds import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    SOLVER,
    Kind,
)
from .status import ObjectRef

BY_NAME: dict[str, tuple[Kind, ...]] = {
    # An identity is worth what its Role and RoleBinding, which have its name, let it do.
    "serviceAccountName": (SERVICE_ACCOUNT, ROLE, ROLE_BINDING),
    "claimName": (CLAIM,),
}
"""Fields that are a name."""
BY_OBJECT: dict[str, Kind] = {
    "configMap": CONFIG_MAP,
    "service": SERVICE,
    "scaleTargetRef": DEPLOYMENT,
    "roleRef": ROLE,
    "solverRef": SOLVER,
}
"""Fields that are an object with a name."""
BY_LIST: dict[str, Kind] = {"subjects": SERVICE_ACCOUNT, "backendRefs": SERVICE}
"""Fields that are a list of objects with names."""


def dependencies(manifest: Manifest) -> set[ObjectRef]:
    """Every object that the manifest names."""
    return set(_named({key: value for key, value in manifest.items() if key != "metadata"}))


def _named(node: Any) -> Iterator[ObjectRef]:
    if isinstance(node, list):
        for each in node:
            yield from _named(each)
    elif isinstance(node, dict):
        for field, value in node.items():
            yield from _of_field(field, value)
            yield from _named(value)


def _of_field(field: str, value: Any) -> Iterator[ObjectRef]:
    """What a field names; parts of a manifest are the user's, and may have any form."""
    if field in BY_NAME and isinstance(value, str):
        yield from (kind.named(value) for kind in BY_NAME[field])
    elif field in BY_OBJECT:
        yield from _of_objects(BY_OBJECT[field], [value])
    elif field in BY_LIST and isinstance(value, list):
        yield from _of_objects(BY_LIST[field], value)
    elif field == "resourceNames" and isinstance(value, list):
        # Of a Role: only ConfigMaps are named in one.
        yield from (CONFIG_MAP.named(name) for name in value if isinstance(name, str))


def _of_objects(kind: Kind, values: list[Any]) -> Iterator[ObjectRef]:
    for value in values:
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            yield kind.named(value["name"])
