"""A namespace's objects in a form that is the same in each run, and the difference between two of them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hack.chaos.observer import World

HASH_LABEL = "pod-template-hash"
CHANCE = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "generateName", "name"}
)
"""Fields of the metadata that differ from run to run; the name is the object's key."""
ASSIGNED = frozenset({"clusterIP", "clusterIPs", "volumeName"})
"""Fields of a spec that the server chooses."""
TOLD = ("type", "status", "reason", "observedGeneration")
"""What of a solver's conditions is compared: not the times, nor the words, which may name a Pod."""
BOARD_UID = re.compile(r"(mcq-[a-z]+-)[0-9a-f]{16}")
"""Of a dashboard: it ends with a digest of the solver's namespace and name."""
SOLVER = "MCQSolver"
OTHERS = frozenset({"Pod", "ReplicaSet"})
"""What another controller makes of the Deployment: which of its ReplicaSets shrinks first, chance has a part in."""

Snapshot = dict[str, Any]
"""Normalised objects by kind and name."""


def key_of(found: dict[str, Any]) -> str:
    """Kind and name, without what a controller makes up."""
    metadata = found["metadata"]
    name = metadata.get("generateName") or metadata["name"]
    template = metadata.get("labels", {}).get(HASH_LABEL)
    return f"{found['kind']}/{name.replace(template, 'HASH') if template else name}"


def take(world: World, namespace: str) -> Snapshot:
    """The namespace as it is now."""
    # Like Pods are told apart by what they are, in whatever order.
    alike: defaultdict[str, list[str]] = defaultdict(list)
    words = _chance_words(world.live.values(), namespace)
    for found in (each for each in world.live.values() if each["kind"] not in OTHERS):
        text = json.dumps(_normal(found), sort_keys=True)
        alike[key_of(found)].append(BOARD_UID.sub(r"\1*", words.sub("*", text)))
    return {
        key if len(texts) == 1 else f"{key} ({number} of {len(texts)})": json.loads(text)
        for key, texts in alike.items()
        for number, text in enumerate(sorted(texts), 1)
    }


def _chance_words(objects: Iterable[dict[str, Any]], namespace: str) -> re.Pattern[str]:
    """Whatever else is written into objects that differs from run to run: namespace, uids, templates' hashes."""
    words = {namespace}
    for found in objects:
        metadata = found["metadata"]
        words |= {metadata["uid"], metadata.get("labels", {}).get(HASH_LABEL, namespace)}
        # The solver's uid, even when the solver is gone.
        words |= {owner["uid"] for owner in metadata.get("ownerReferences", [])}
    return re.compile("|".join(map(re.escape, sorted(words))))


def _normal(found: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in found["metadata"].items() if name not in CHANCE}
    if "annotations" in metadata:
        # Digests are of what has the owner's uid in it.
        metadata["annotations"] = {
            name: "*" if name.endswith("-digest") else value
            for name, value in metadata["annotations"].items()
        }
    content = {name: value for name, value in found.items() if name not in {"metadata", "status"}}
    if isinstance(content.get("spec"), dict):
        content["spec"] = {name: value for name, value in content["spec"].items() if name not in ASSIGNED}
    if found["kind"] == SOLVER:
        content["status"] = _status(found.get("status", {}))
    return {**content, "metadata": metadata}


def _status(status: dict[str, Any]) -> dict[str, Any]:
    conditions = [{name: each.get(name) for name in TOLD} for each in status.get("conditions", [])]
    return {**status, "conditions": sorted(conditions, key=lambda each: str(each["type"]))}


def difference(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """What is other than expected, a line each."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted({*found, *expected}):
            where = f"{path}.{key}" if path else key
            if key not in found:
                yield f"{where} is missing"
            elif key not in expected:
                yield f"{where} should not be there: {_short(found[key])}"
            else:
                yield from difference(found[key], expected[key], where)
    elif found != expected:
        yield f"{path} is {_short(found)}, not {_short(expected)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
