"""What the tests of several parts need of a cluster."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hack.kubectl import Kubectl


def eventually(holds: Callable[[], object], *, seconds: float, what: str = "") -> None:
    """Wait until it holds; `what` says in the failure what that is."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not so within {seconds} s: {what or holds}"
        time.sleep(0.5)


def restricted_namespace(kubectl: Kubectl, name: str) -> None:
    """Make the namespace, empty, and restricted by Pod Security."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubectl("delete", "namespace", name, "--ignore-not-found")
    kubectl("apply", "--filename", "-", stdin=json.dumps(namespace))
