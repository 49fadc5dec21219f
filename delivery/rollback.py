"""Roll back to the state before the last install: the operator's objects and the solvers."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from hack.errors import InstallError
from hack.installation import Solver, apply_solver, wait_for_operator, wait_updated
from hack.kubectl import KubectlError

from delivery import inventory
from delivery.install import PREVIOUS, cluster_uid, operator_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hack.kubectl import Kubectl
    from hack.toolchain.progress import Progress

READY_SECONDS = 600


def rollback(kubectl: Kubectl, progress: Progress) -> None:
    """Undo the last install. A part that fails does not stop the others. Raises InstallError with every failure.

    It refuses another cluster than that of the install. The CRDs stay: a newer CRD accepts older objects, and an older
    CRD could drop fields of stored objects.
    """
    if not PREVIOUS.exists():
        progress.say("Nothing was installed: nothing to roll back.")
        return
    record = json.loads(PREVIOUS.read_text())
    if record["cluster"] != cluster_uid(kubectl):
        raise InstallError(
            f"{PREVIOUS} records another cluster than kubectl's: use the kubeconfig and the context of the install."
        )
    if operator_image(record["objects"]) is None:
        progress.say("There was no operator before this one: it stays as it is, for you to inspect.")
        return
    failures = []
    for title, undo in _parts(kubectl, record):
        try:
            with progress.step(title):
                undo()
        except (KubectlError, InstallError) as error:
            failures.append(f"{title}: {error}")
    if failures:
        raise InstallError("\n".join(["The rollback is incomplete:", *failures]))
    PREVIOUS.unlink()


def _parts(kubectl: Kubectl, record: dict[str, Any]) -> Iterator[tuple[str, Callable[[], object]]]:
    image = operator_image(record["objects"])
    yield f"restore {len(record['objects'])} objects", partial(inventory.apply, kubectl, record["objects"])
    yield f"delete {len(record['added'])} added objects", partial(inventory.delete, kubectl, record["added"])
    yield f"operator back to {image}", partial(wait_for_operator, kubectl)
    for before in record["solvers"]:
        solver = Solver.of(before["manifest"])
        yield (
            f"restore MCQSolver {solver.namespace}/{solver.name}",
            partial(apply_solver, kubectl, before["manifest"]),
        )
    for namespace, name in record["added_solvers"]:
        delete = ("delete", f"mcqsolver/{name}", "--ignore-not-found", "--timeout=120s")
        yield (
            f"delete the added MCQSolver {namespace}/{name}",
            partial(kubectl, "--namespace", namespace, *delete),
        )
    for before in record["solvers"]:
        solver, image = Solver.of(before["manifest"]), before["image"]
        if not image:  # it did not run before, either
            continue
        yield (
            f"MCQSolver {solver.namespace}/{solver.name} is Ready with {image}",
            partial(wait_updated, kubectl, solver, image, seconds=READY_SECONDS),
        )
