"""An object of a watch, a list or the server's answer, reduced to the fields that a reconcile reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from mcq_operator.api import FIELD_MANAGER, Key, Manifest, names
from mcq_operator.api.kinds import (
    CHILDREN,
    CLAIM,
    CRON_JOB,
    DISRUPTION_BUDGET,
    EXAM,
    JOB,
    METADATA_ONLY,
    POD,
    RECONCILED,
    SERVICE,
    SOLVER,
    Kind,
)
from mcq_operator.api.resource import KEYS

from .ownership import owner, referenced

FRAME = frozenset({"apiVersion", "kind", "metadata"})
UNREAD_METADATA = frozenset({"managedFields", "resourceVersion"})
UNREAD = {
    POD: frozenset({"spec"}),
    **dict.fromkeys((CLAIM, SERVICE, DISRUPTION_BUDGET), frozenset({"status"})),
    **dict.fromkeys(METADATA_ONLY, frozenset({"data", "binaryData", "immutable"})),
}
"""Fields that no reconcile reads. The store drops them, and a change of them requeues nothing."""
CLAIM_VOLUME = "persistentVolumeClaim"
"""The only volumes of Pods that a reconcile reads; of their specs it reads nothing else."""
POD_ANNOTATIONS = frozenset({names.MODEL_ANNOTATION, names.JOB_INDEX_ANNOTATION})
"""The annotations of Pods that a reconcile reads."""


class NamespacedName(NamedTuple):
    """The name of an object of a kind."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Observation:
    """The state of an object in an event or an answer.

    Attributes:
        kind: the object's kind.
        name: its name.
        version: the resourceVersion.
        body: the object as JSON, without the unread fields; None if it is gone or not ours.
        instance: the value of the label that names a resource; for an exam, the name of its solver; for a solver, the
            name of the one that it escalates to.
        owner: the resource that the object belongs to, or is.
        gone: whether it was deleted, or no longer matches the watch.
        parent: for a resource, the one that it was created for.

    """

    kind: Kind
    name: NamespacedName
    version: int
    body: bytes | None
    instance: str
    owner: Key | None
    gone: bool = False
    parent: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All objects of a kind in one namespace, or in all.

    Attributes:
        kind: the kind.
        namespace: the namespace, or None for all.
        objects: the objects by name.
        version: the resourceVersion of the list.

    """

    kind: Kind
    namespace: str | None
    objects: Mapping[NamespacedName, Observation]
    version: int

    def lacks(self, name: tuple[str, str]) -> bool:
        """Return whether the list covers the object's namespace and does not have the object."""
        return self.namespace in (None, name[0]) and name not in self.objects


def is_ours(kind: Kind, metadata: Manifest) -> bool:
    """Return whether the object is one of our resources, a Pod, or controlled by one of our resources.

    A Job may also be controlled by our CronJob. The watches show only Pods with our label, and the store keeps only
    the claims of their specs.
    """
    if kind not in CHILDREN or referenced(metadata) is not None:
        return True
    owners = metadata.get("ownerReferences", [])
    return kind is JOB and any(
        (each["apiVersion"], each["kind"]) == (CRON_JOB.api_version, CRON_JOB.kind) for each in owners
    )


def is_creation(entry: Manifest) -> bool:
    """Return whether an entry of `managedFields` has the fields that the operator set by creating the object."""
    return (entry.get("manager"), entry.get("operation")) == (FIELD_MANAGER, "Update") and not entry.get(
        "subresource"
    )


def observe(kind: Kind, manifest: Manifest, *, gone: bool = False) -> Observation:
    """Return an observation of an object that the server sent."""
    metadata = manifest["metadata"]
    return Observation(
        kind=kind,
        name=NamespacedName(metadata["namespace"], metadata["name"]),
        version=int(metadata["resourceVersion"]),
        body=None if gone or not is_ours(kind, metadata) else _body(kind, manifest),
        instance=instance_of(kind, manifest),
        owner=KEYS[kind.kind](metadata["namespace"], metadata["name"])
        if kind in RECONCILED
        else owner(metadata),
        gone=gone,
        parent=owner(metadata) if kind in RECONCILED else None,
    )


def _body(kind: Kind, manifest: Manifest) -> bytes:
    unread = FRAME | UNREAD.get(kind, frozenset())
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in UNREAD_METADATA}
    created = [
        {"manager": entry["manager"], "operation": entry["operation"]}
        for entry in manifest["metadata"].get("managedFields", ())
        if is_creation(entry)
    ]
    if created:
        metadata["managedFields"] = created
    if kind is POD:
        annotations = metadata.pop("annotations", {})
        metadata["annotations"] = {key: annotations[key] for key in POD_ANNOTATIONS & annotations.keys()}
    content = {key: value for key, value in manifest.items() if key not in unread}
    if kind is POD and (claims := _claims(manifest)):
        content["spec"] = {"volumes": claims}
    # The server omits apiVersion and kind in the items of a list.
    frame = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    return msgspec.json.encode({**frame, **content})


def _claims(pod: Manifest) -> list[Manifest]:
    """Return the volumes of a Pod that are claims, without their names: the operator deletes no mounted claim."""
    volumes = pod.get("spec", {}).get("volumes", ())
    return [{CLAIM_VOLUME: each[CLAIM_VOLUME]} for each in volumes if CLAIM_VOLUME in each]


def instance_of(kind: Kind, manifest: Manifest) -> str:
    """Return the value of the object's label, or the name of the solver that its spec refers to; see Observation."""
    if kind is SOLVER:
        target = manifest.get("spec", {}).get("answering", {}).get("escalateTo", {})
        return str(target.get("solverRef", {}).get("name", ""))
    if kind is EXAM:
        return str(manifest.get("spec", {}).get("solverRef", {}).get("name", ""))
    return str(manifest["metadata"].get("labels", {}).get(names.INSTANCE_LABEL, ""))
