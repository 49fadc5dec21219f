"""The objects that an object depends on, read from the names in its manifest.

A Deployment runs as the ServiceAccount that it names; an Ingress routes to the Service that it names. If that object
belongs to someone else, the dependent object could use something that its author has no right to.
"""

from collections.abc import Iterator
from typing import Any

from .base import Manifest
from .kinds import CLAIM, CONFIG_MAP, DEPLOYMENT, ROLE, ROLE_BINDING, SERVICE, SERVICE_ACCOUNT, SOLVER, Kind
from .resource_status import ObjectRef

BY_NAME: dict[str, tuple[Kind, ...]] = {
    # The Role and the RoleBinding of the same name define what the account may do.
    "serviceAccountName": (SERVICE_ACCOUNT, ROLE, ROLE_BINDING),
    "claimName": (CLAIM,),
}
"""Fields that hold a name."""
BY_OBJECT: dict[str, Kind] = {
    "configMap": CONFIG_MAP,
    "service": SERVICE,
    "scaleTargetRef": DEPLOYMENT,
    "roleRef": ROLE,
    "solverRef": SOLVER,
}
"""Fields that hold an object with a name."""
BY_LIST: dict[str, Kind] = {"subjects": SERVICE_ACCOUNT, "backendRefs": SERVICE}
"""Fields that hold a list of objects with names."""


def dependencies(manifest: Manifest) -> set[ObjectRef]:
    """Return every object that the manifest names."""
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
    """Yield the objects that a field names. Users write parts of a manifest, so the value may have any type."""
    if field in BY_NAME and isinstance(value, str):
        yield from (kind.named(value) for kind in BY_NAME[field])
    elif field in BY_OBJECT:
        yield from _of_objects(BY_OBJECT[field], [value])
    elif field in BY_LIST and isinstance(value, list):
        yield from _of_objects(BY_LIST[field], value)
    elif field == "resourceNames" and isinstance(value, list):
        # A field of Roles; the operator's name only ConfigMaps.
        yield from (CONFIG_MAP.named(name) for name in value if isinstance(name, str))


def _of_objects(kind: Kind, values: list[Any]) -> Iterator[ObjectRef]:
    for value in values:
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            yield kind.named(value["name"])
