"""One namespace's objects, and how often each was created and deleted."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

HASH_LABEL = "pod-template-hash"
# Every new namespace has these.
DEFAULT_OBJECTS = frozenset({("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")})


@dataclass
class NamespaceState:
    """One namespace: its objects by uid, and how often each was created and deleted."""

    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    changed: float = field(default_factory=time.monotonic)
    _uids: set[str] = field(default_factory=set)

    def record(self, event: str, live: dict[str, Any]) -> None:
        """Record a watch event."""
        metadata = live["metadata"]
        if (live["kind"], metadata["name"]) in DEFAULT_OBJECTS:
            return
        self.changed = time.monotonic()
        uid = metadata["uid"]
        if uid not in self._uids:
            self._uids.add(uid)
            self.created[key_of(live)] += 1
        if event == "DELETED":
            self.live.pop(uid, None)
            self.deleted[key_of(live)] += 1
        else:
            self.live[uid] = live

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return how often each object was created and deleted."""
        return {name: (self.created[name], self.deleted[name]) for name in sorted(self.created)}


def key_of(live: dict[str, Any]) -> str:
    """Return kind and name, without generated parts."""
    metadata = live["metadata"]
    name = metadata.get("generateName") or metadata["name"]
    template = metadata.get("labels", {}).get(HASH_LABEL)
    return f"{live['kind']}/{name.replace(template, 'HASH') if template else name}"
