"""The common parts of every object: names, labels, owner, and a digest of the applied manifest."""

import hashlib
import json
from typing import Any

from mcq_operator.api import API_VERSION, Manifest, Resource, names
from mcq_operator.api.kinds import Kind


def manifest(
    kind: Kind,
    owner: Resource,
    *,
    name: str | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **content: Any,
) -> Manifest:
    """Return an object of `owner`, without None fields. Its name is `name`, or the owner's."""
    desired = without_none(
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "name": name or owner.name,
                "namespace": owner.namespace,
                # The operator's labels win: it finds its objects by them.
                "labels": {**(labels or {}), **names.labels(owner)},
                "annotations": annotations or {},
                "ownerReferences": [owner_reference(owner)],
            },
            **content,
        }
    )
    desired["metadata"]["annotations"][names.APPLIED_DIGEST] = digest(desired)
    return dict(desired)


def owner_reference(owner: Resource) -> dict[str, Any]:
    """Return the reference by which the garbage collector deletes an object after its owner, without a finalizer."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.KEY.KIND,
        "name": owner.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def digest(value: object) -> str:
    """Return a short digest of a value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def without_none(value: Any) -> Any:
    """Return the value without None fields: server-side apply would own them as explicit nulls."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def settings_of(template: Manifest) -> dict[str, str]:
    """Return the service's environment variables in a Pod template."""
    containers = [each for each in template["spec"]["containers"] if each["name"] == names.SERVICE_CONTAINER]
    return {
        each["name"]: each["value"]
        for container in containers
        for each in container.get("env", [])
        if "value" in each
    }
