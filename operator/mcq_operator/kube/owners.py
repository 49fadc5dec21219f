"""Whose an object is: what is someone else's is never touched."""

from collections.abc import Mapping
from typing import Any

from mcq_operator.models import API_VERSION, Key, Manifest, Resource, names
from mcq_operator.models.resource import KEYS


def owned(live: Manifest, resource: Resource) -> bool:
    """Whether the resource is the object's controller."""
    return any(
        reference.get("controller") and reference["uid"] == resource.metadata.uid
        for reference in live["metadata"].get("ownerReferences", [])
    )


def orphaned(live: Manifest, resource: Resource) -> bool:
    """Whether the object was made for a resource of this name and has no controller any more.

    So it is after `kubectl delete --cascade=orphan`, or when someone removed the owner reference.
    """
    metadata = live["metadata"]
    controlled = any(reference.get("controller") for reference in metadata.get("ownerReferences", []))
    wanted = names.labels(resource)
    found = metadata.get("labels", {})
    marks = (names.MANAGED_BY_LABEL, names.NAME_LABEL, names.INSTANCE_LABEL)
    return not controlled and all(found.get(mark) == wanted[mark] for mark in marks)


def owner(meta: Mapping[str, Any]) -> Key | None:
    """The resource that an object belongs to: its controller, or for others' objects the one its labels name."""
    for reference in meta.get("ownerReferences", []):
        if reference["kind"] in KEYS and reference["apiVersion"] == API_VERSION:
            return KEYS[reference["kind"]](meta["namespace"], reference["name"])
    return names.labelled(meta["namespace"], meta.get("labels", {}))
