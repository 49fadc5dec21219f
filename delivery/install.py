"""Install the CRDs, the operator by digest, and solvers; record the previous state for a rollback."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hack.images.build import DIST
from hack.installation import (
    Images,
    Solver,
    apply_solver,
    install_crds,
    install_operator,
    running_image,
    solvers_of,
    wait_updated,
)

from delivery import inventory
from delivery.installer import installer
from mcq_operator.api.rbac import NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from hack.kubectl import Kubectl
    from hack.toolchain.progress import Progress

    from delivery.inventory import Manifest

PREVIOUS = DIST / "previous.json"


def install(
    kubectl: Kubectl, images: Images, overlay: Path, solver: Path, progress: Progress
) -> list[Solver]:
    """Install these images and this solver, and wait until they are ready. Raises KubectlError, InstallError.

    Objects of the last install that this overlay lacks are deleted.
    """
    manifests = solvers_of(kubectl, solver)
    objects = inventory.references(installer(kubectl, images, overlay))
    earlier = inventory.read_inventory(kubectl)
    surplus = inventory.missing(earlier, objects)
    record_previous(kubectl, [*objects, inventory.RECORD, *surplus], manifests)
    with progress.step("CRDs"):
        install_crds(kubectl)
    with progress.step(f"operator {images.operator}"):
        install_operator(kubectl, images, overlay)
    with progress.step(f"prune: {', '.join(map(_title, surplus)) or 'nothing'}"):
        inventory.delete(kubectl, surplus)
        inventory.write_inventory(kubectl, objects)
    solvers = [apply_solver(kubectl, manifest) for manifest in manifests]
    for each, manifest in zip(solvers, manifests, strict=True):
        image = images.replicas(manifest)
        with progress.step(f"MCQSolver {each.namespace}/{each.name} is Ready with {image}"):
            wait_updated(kubectl, each, image)
    return solvers


def record_previous(kubectl: Kubectl, objects: list[Manifest], manifests: list[Manifest]) -> None:
    """Record the cluster's present state of these objects and solvers for rollback."""
    found = [(each, inventory.live(kubectl, each)) for each in objects]
    solvers = [(Solver.of(each), _previous(kubectl, each)) for each in manifests]
    record = {
        "time": datetime.now(UTC).isoformat(),
        "cluster": cluster_uid(kubectl),
        "objects": [live for _, live in found if live],
        "added": inventory.missing(objects, [each for each, live in found if live]),
        "solvers": [live for _, live in solvers if live],
        "added_solvers": [[each.namespace, each.name] for each, live in solvers if not live],
    }
    DIST.mkdir(parents=True, exist_ok=True)
    PREVIOUS.unlink(missing_ok=True)
    PREVIOUS.touch(mode=0o600)  # the objects of an overlay may include Secrets
    PREVIOUS.write_text(json.dumps(record, indent=2) + "\n")


def installed_at() -> datetime | None:
    """Return when the last install began; None if there is no record of it."""
    return datetime.fromisoformat(json.loads(PREVIOUS.read_text())["time"]) if PREVIOUS.exists() else None


def cluster_uid(kubectl: Kubectl) -> str:
    """Return the cluster's identity: the UID of a namespace that is as old as the cluster."""
    return kubectl("get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}")


def operator_image(objects: list[Manifest]) -> str | None:
    """Return the image of the operator among these objects; None if it is not one of them."""
    for each in objects:
        name, namespace = each["metadata"]["name"], each["metadata"].get("namespace")
        if (each["kind"], namespace, name) == ("Deployment", NAMESPACE, "mcq-operator"):
            image: str = each["spec"]["template"]["spec"]["containers"][0]["image"]
            return image
    return None


def _title(each: Manifest) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def _previous(kubectl: Kubectl, manifest: Manifest) -> dict[str, Any] | None:
    """Return the solver's live manifest and image; None if it does not exist."""
    solver = Solver.of(manifest)
    before = inventory.live(kubectl, manifest)
    return {"manifest": before, "image": running_image(kubectl, solver)} if before else None
