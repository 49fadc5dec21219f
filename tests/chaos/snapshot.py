"""Objects of a namespace in a form that every run shares, and the differences between two snapshots."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.chaos.namespace_state import HASH_LABEL, NamespaceState, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VARYING = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "generateName", "name"}
)
"""Metadata fields that differ from run to run; the name is part of the object's key."""
SERVER_ASSIGNED = frozenset({"clusterIP", "clusterIPs", "volumeName"})
"""Spec fields that the server assigns."""
COMPARED = ("type", "status", "reason", "observedGeneration")
"""The compared fields of a condition: no times and no messages, because a message may name a Pod."""
BOARD_UID = re.compile(r"(mcq-[a-z]+-)[0-9a-f]{16}")
"""A dashboard's uid: it ends with a digest of the solver's namespace and name."""
SOLVER = "MCQSolver"
CONTROLLER_KINDS = frozenset({"Pod", "ReplicaSet"})
"""Kinds that the Deployment controller creates; which ReplicaSet shrinks first varies."""

Snapshot = dict[str, Any]
"""Normalised objects by kind and name."""


def take_snapshot(state: NamespaceState, namespace: str) -> Snapshot:
    """Return the namespace's current objects, normalised."""
    # Sort objects with the same key, such as Pods, by content.
    by_key: defaultdict[str, list[str]] = defaultdict(list)
    varying = _varying_pattern(state.live.values(), namespace)
    for live in (each for each in state.live.values() if each["kind"] not in CONTROLLER_KINDS):
        text = json.dumps(_normal(live), sort_keys=True)
        by_key[key_of(live)].append(BOARD_UID.sub(r"\1*", varying.sub("*", text)))
    return {
        key if len(texts) == 1 else f"{key} ({number} of {len(texts)})": json.loads(text)
        for key, texts in by_key.items()
        for number, text in enumerate(sorted(texts), 1)
    }


def _varying_pattern(objects: Iterable[dict[str, Any]], namespace: str) -> re.Pattern[str]:
    """Return a pattern of the values that differ from run to run: namespace, uids, template hashes."""
    values = {namespace}
    for live in objects:
        metadata = live["metadata"]
        values |= {metadata["uid"], metadata.get("labels", {}).get(HASH_LABEL, namespace)}
        # The solver's uid occurs even after the solver is deleted.
        values |= {owner["uid"] for owner in metadata.get("ownerReferences", [])}
    return re.compile("|".join(map(re.escape, sorted(values))))


def _normal(live: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in live["metadata"].items() if name not in VARYING}
    if "annotations" in metadata:
        # Digests cover the owner's uid.
        metadata["annotations"] = {
            name: "*" if name.endswith("-digest") else value
            for name, value in metadata["annotations"].items()
        }
    content = {name: value for name, value in live.items() if name not in {"metadata", "status"}}
    if isinstance(content.get("spec"), dict):
        content["spec"] = {
            name: value for name, value in content["spec"].items() if name not in SERVER_ASSIGNED
        }
    if live["kind"] == SOLVER:
        content["status"] = _status(live.get("status", {}))
    return {**content, "metadata": metadata}


def _status(status: dict[str, Any]) -> dict[str, Any]:
    conditions = [{name: each.get(name) for name in COMPARED} for each in status.get("conditions", [])]
    return {**status, "conditions": sorted(conditions, key=lambda each: str(each["type"]))}


def difference(actual: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Yield each difference from `expected` as a line."""
    if isinstance(actual, dict) and isinstance(expected, dict):
        for key in sorted({*actual, *expected}):
            where = f"{path}.{key}" if path else key
            if key not in actual:
                yield f"{where} is missing"
            elif key not in expected:
                yield f"{where} should not be there: {_short(actual[key])}"
            else:
                yield from difference(actual[key], expected[key], where)
    elif actual != expected:
        yield f"{path} is {_short(actual)}, not {_short(expected)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
