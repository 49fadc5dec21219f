"""The objects of an installation, by reference, and the cluster's record of them: a ConfigMap.

The next install prunes the recorded objects that its own environment lacks. Without the record it can't tell ours
from others'.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from hack.installation import APPLY
from hack.kubectl import Kubectl, KubectlError

from mcq_operator.api.rbac import NAMESPACE

Manifest = dict[str, Any]
RECORD: Manifest = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "mcq-operator-inventory", "namespace": NAMESPACE},
}
DATA = "objects"
# Never deleted: others' objects in them would go, too.
CONTAINERS = ("CustomResourceDefinition", "Namespace")
KEPT_METADATA = ("name", "namespace", "labels", "annotations")
REVISION = "deployment.kubernetes.io/revision"


def reference(manifest: Manifest) -> Manifest:
    """Return the part of a manifest that identifies the object, again as a manifest."""
    metadata = {
        key: manifest["metadata"][key] for key in ("name", "namespace") if key in manifest["metadata"]
    }
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata}


def references(manifests: str) -> list[Manifest]:
    """Return the references of all objects in a YAML text, except the CRDs."""
    found = [reference(each) for each in yaml.safe_load_all(manifests) if each]
    return [each for each in found if each["kind"] != "CustomResourceDefinition"]


def missing(earlier: list[Manifest], now: list[Manifest]) -> list[Manifest]:
    """Return the earlier objects that `now` lacks, without namespaces. The API version does not count."""
    kept = {_identity(each) for each in now}
    return [each for each in earlier if _identity(each) not in kept and each["kind"] not in CONTAINERS]


def _identity(each: Manifest) -> tuple[str, str, str | None, str]:
    group = each["apiVersion"].rpartition("/")[0]
    return group, each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]


def read_inventory(kubectl: Kubectl) -> list[Manifest]:
    """Return the references of the last install's objects; none if it kept no record."""
    record = live(kubectl, RECORD)
    objects: list[Manifest] = json.loads(record["data"][DATA]) if record else []
    return objects


def write_inventory(kubectl: Kubectl, objects: list[Manifest]) -> None:
    """Record the references of the installed objects in the cluster."""
    apply(kubectl, [{**RECORD, "data": {DATA: json.dumps(objects)}}])


def live(kubectl: Kubectl, wanted: Manifest) -> Manifest | None:
    """Return the live object as a manifest that can be applied again; None if it does not exist."""
    try:
        output = kubectl(
            "get", "--filename", "-", "--ignore-not-found", "--output", "json", stdin=yaml.safe_dump(wanted)
        )
    except KubectlError as error:
        if "no matches for kind" in str(error):  # its CRD does not exist (any more)
            return None
        raise
    if not output.strip():
        return None
    # kubectl prints the objects of a file as a list.
    found = json.loads(output)
    items: list[Manifest] = found.get("items", [found])
    return applicable(items[0]) if items else None


def applicable(manifest: Manifest) -> Manifest:
    """Return a live object without the fields that the API server decides on."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key in KEPT_METADATA}
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key != REVISION}
    if annotations:
        metadata["annotations"] = annotations
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}


def apply(kubectl: Kubectl, manifests: list[Manifest]) -> None:
    """Apply the manifests; the fields that only an earlier apply had are removed."""
    kubectl(*APPLY, "--filename", "-", stdin=yaml.safe_dump_all(manifests))


def delete(kubectl: Kubectl, objects: list[Manifest]) -> None:
    """Delete the objects that exist. For a kind that no longer exists, kubectl would fail."""
    doomed = [each for each in objects if live(kubectl, each)]
    if doomed:
        kubectl("delete", "--filename", "-", "--timeout=120s", stdin=yaml.safe_dump_all(doomed))
