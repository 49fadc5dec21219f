"""Roll back to the operator's previous revision and the solvers' previous manifests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hack.installation import NAMESPACE, OPERATOR, apply_solver, wait_for_operator, wait_updated

from delivery.install import PREVIOUS

if TYPE_CHECKING:
    from hack.kubectl import Kubectl
    from hack.toolchain.progress import Progress

READY_SECONDS = 600


def rollback(kubectl: Kubectl, progress: Progress) -> None:
    """Undo the last install. Raises KubectlError or InstallError.

    The CRDs stay: a newer CRD accepts older objects, and an older CRD could drop fields of stored objects.
    """
    if not PREVIOUS.exists():
        progress.say("Nothing was installed: nothing to roll back.")
        return
    record = json.loads(PREVIOUS.read_text())
    if record["revision"] is None:
        progress.say("There was no operator before this one: it stays as it is, for you to inspect.")
        return
    with progress.step(f"operator back to revision {record['revision']}, {record['image']}"):
        undo = ("rollout", "undo", OPERATOR, f"--to-revision={record['revision']}")
        kubectl("--namespace", NAMESPACE, *undo)
        wait_for_operator(kubectl)
    for before in record["solvers"]:
        solver = apply_solver(kubectl, before["manifest"])
        with progress.step(f"MCQSolver {solver.namespace}/{solver.name} is Ready with {before['image']}"):
            wait_updated(kubectl, solver, before["image"], seconds=READY_SECONDS)
    PREVIOUS.unlink()
