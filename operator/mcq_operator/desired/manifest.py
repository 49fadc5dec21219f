"""The frame of every object: names, labels, owner, and a digest of what was meant."""

import hashlib
import json
from typing import Any

from mcq_operator.models import API_VERSION, Manifest, Resource, names
from mcq_operator.models.kinds import Kind


def manifest(
    kind: Kind,
    owner: Resource,
    *,
    name: str | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **content: Any,
) -> Manifest:
    """An object of `owner`, named like it unless `name` says otherwise, without fields that are None."""
    made = without_none(
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "name": name or owner.name,
                "namespace": owner.namespace,
                # What the operator finds its objects by can't be taken from it.
                "labels": {**(labels or {}), **names.labels(owner)},
                "annotations": annotations or {},
                "ownerReferences": [owner_reference(owner)],
            },
            **content,
        }
    )
    made["metadata"]["annotations"][names.APPLIED_DIGEST] = digest(made)
    return dict(made)


def owner_reference(owner: Resource) -> dict[str, Any]:
    """By this reference the garbage collector deletes an object after its owner: no finalizer needed."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.KEY.KIND,
        "name": owner.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def digest(value: object) -> str:
    """A short digest that is equal for equal values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def without_none(value: Any) -> Any:
    """The value without keys that are None: server-side apply would own them as explicit nulls."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value
