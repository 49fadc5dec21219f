"""Ownership of objects. The operator never changes an object that belongs to someone else."""

from collections.abc import Mapping
from typing import Any

from mcq_operator.api import API_VERSION, Key, Manifest, Resource, names
from mcq_operator.api.resource import KEYS


def owned(live: Manifest, resource: Resource) -> bool:
    """Return whether the resource is the object's controller."""
    return any(
        reference.get("controller") and reference["uid"] == resource.metadata.uid
        for reference in live["metadata"].get("ownerReferences", [])
    )


def orphaned(live: Manifest, resource: Resource) -> bool:
    """Return whether the object was created for a resource of this name and has no controller any more.

    This happens after `kubectl delete --cascade=orphan`, or when someone removes the owner reference.
    """
    metadata = live["metadata"]
    controlled = any(reference.get("controller") for reference in metadata.get("ownerReferences", []))
    expected = names.labels(resource)
    labels = metadata.get("labels", {})
    identifying = (names.MANAGED_BY_LABEL, names.NAME_LABEL, names.INSTANCE_LABEL)
    return not controlled and all(labels.get(mark) == expected[mark] for mark in identifying)


def owner(meta: Mapping[str, Any]) -> Key | None:
    """Return the resource that controls the object, or the one that its labels name."""
    return referenced(meta) or names.key_from_labels(meta["namespace"], meta.get("labels", {}))


def referenced(meta: Mapping[str, Any]) -> Key | None:
    """Return the resource that the object's owner references name."""
    for reference in meta.get("ownerReferences", []):
        if reference["kind"] in KEYS and reference["apiVersion"] == API_VERSION:
            return KEYS[reference["kind"]](meta["namespace"], reference["name"])
    return None
