"""Install the CRDs, the operator by digest, and solvers; record the previous state for a rollback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hack.images.build import DIST
from hack.installation import (
    NAMESPACE,
    OPERATOR,
    Images,
    Solver,
    apply_solver,
    install_crds,
    install_operator,
    running_image,
    solvers_of,
    wait_updated,
)

if TYPE_CHECKING:
    from pathlib import Path

    from hack.kubectl import Kubectl
    from hack.toolchain.progress import Progress

PREVIOUS = DIST / "previous.json"


def install(
    kubectl: Kubectl, images: Images, overlay: Path, solver: Path, progress: Progress
) -> list[Solver]:
    """Install these images and this solver, and wait until they are ready. Raises KubectlError, InstallError."""
    PREVIOUS.unlink(missing_ok=True)
    manifests = solvers_of(kubectl, solver)
    record_previous(kubectl, manifests)
    with progress.step("CRDs"):
        install_crds(kubectl)
    with progress.step(f"operator {images.operator}"):
        install_operator(kubectl, images, overlay)
    solvers = [apply_solver(kubectl, manifest) for manifest in manifests]
    for each, manifest in zip(solvers, manifests, strict=True):
        image = images.replicas(manifest)
        with progress.step(f"MCQSolver {each.namespace}/{each.name} is Ready with {image}"):
            wait_updated(kubectl, each, image)
    return solvers


def record_previous(kubectl: Kubectl, manifests: list[dict[str, Any]]) -> None:
    """Record the cluster's present state for rollback."""
    output = kubectl("--namespace", NAMESPACE, "get", OPERATOR, "--ignore-not-found", "--output", "json")
    operator = json.loads(output) if output else None
    solvers = [_previous(kubectl, manifest) for manifest in manifests] if operator else []
    record = {
        "revision": operator["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        if operator
        else None,
        "image": operator["spec"]["template"]["spec"]["containers"][0]["image"] if operator else None,
        "solvers": [solver for solver in solvers if solver],
    }
    DIST.mkdir(parents=True, exist_ok=True)
    PREVIOUS.write_text(json.dumps(record, indent=2) + "\n")


def _previous(kubectl: Kubectl, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """Return the solver's live manifest and image; None if it does not exist."""
    solver = Solver.of(manifest)
    output = kubectl(
        "--namespace", solver.namespace, "get", solver.resource, "--ignore-not-found", "--output", "json"
    )
    if not output:
        return None
    live = json.loads(output)
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: value for key, value in live["metadata"].items() if key in kept}
    applied = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": metadata,
        "spec": live["spec"],
    }
    return {"manifest": applied, "image": running_image(kubectl, solver)}
