"""Install the CRDs, the operator by digest, and a solver; what was there before is kept for a way back."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from hack.delivery.errors import DeliveryError
from hack.delivery.settings import ROOT
from hack.images.build import DIST
from hack.kubectl import Kubectl, KubectlError, wait_established

if TYPE_CHECKING:
    from pathlib import Path

    from hack.cluster.progress import Progress
    from hack.delivery.images import Images

NAMESPACE = "mcq-operator-system"
OPERATOR = "deployment/mcq-operator"
CRDS = ("mcqsolvers.mcq-operator.dev", "mcqexams.mcq-operator.dev", "mcqpolicies.mcq-operator.dev")
OVERLAY = ROOT / "build/deploy"
PREVIOUS = DIST / "previous.json"
READY_SECONDS = 1800
APPLY = ("apply", "--server-side", "--force-conflicts")


@dataclass(frozen=True)
class Solver:
    """A solver in the cluster."""

    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Solver:
        """That of a manifest with a namespace."""
        return cls(manifest["metadata"]["namespace"], manifest["metadata"]["name"])

    @property
    def resource(self) -> str:
        """As kubectl names it."""
        return f"mcqsolver/{self.name}"


def install(
    kubectl: Kubectl, images: Images, overlay: Path, solver: Path, progress: Progress
) -> list[Solver]:
    """Bring the cluster to these images and this solver, and wait until it is. Raises KubectlError, DeliveryError."""
    PREVIOUS.unlink(missing_ok=True)
    manifests = solvers_of(kubectl, solver)
    remember(kubectl, manifests)
    with progress.step("CRDs"):
        install_crds(kubectl)
    with progress.step(f"operator {images.operator}"):
        install_operator(kubectl, images, overlay)
    solvers = [apply_solver(kubectl, manifest) for manifest in manifests]
    for each, manifest in zip(solvers, manifests, strict=True):
        image = manifest["spec"].get("image", images.service)
        with progress.step(f"MCQSolver {each.namespace}/{each.name} is Ready with {image}"):
            wait_updated(kubectl, each, image)
    return solvers


def install_crds(kubectl: Kubectl) -> None:
    """The CRDs first: what comes after needs them."""
    kubectl(*APPLY, "--kustomize", str(ROOT / "config/crds"))
    wait_established(kubectl, CRDS)


def install_operator(kubectl: Kubectl, images: Images, base: Path) -> None:
    """The kustomization `base` with these images, and wait until all of its replicas are it."""
    write_overlay(images, base, OVERLAY)
    kubectl(*APPLY, "--kustomize", str(OVERLAY))
    wait_for_operator(kubectl)


def wait_for_operator(kubectl: Kubectl) -> None:
    """Until every replica of the operator is of its newest revision and ready. Raises DeliveryError."""
    scope = ("--namespace", NAMESPACE)
    try:
        kubectl(*scope, "rollout", "status", OPERATOR, "--timeout=300s")
    except KubectlError as error:
        pods = kubectl(*scope, "get", "pods", "--selector", "app.kubernetes.io/name=mcq-operator")
        message = f"The operator does not come up: {error}\n{pods}`make diagnostics` collects its logs."
        raise DeliveryError(message) from error


def write_overlay(images: Images, base: Path, folder: Path) -> None:
    """Write into `folder` a kustomization of `base` with the images by digest."""
    name, _, digest = images.operator.partition("@")
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mcq-operator", "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"containers": [{
            "name": "operator",
            "env": [
                {"name": "MCQ_OPERATOR_SERVICE_IMAGE", "value": images.service},
                {"name": "MCQ_OPERATOR_IMAGE", "value": images.operator},
            ],
        }]}}},
    }  # fmt: skip
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(base, folder)],
        "images": [{"name": "mcq-operator", "newName": name, "digest": digest}],
        "patches": [{"patch": yaml.safe_dump(patch)}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))


def solvers_of(kubectl: Kubectl, path: Path) -> list[dict[str, Any]]:
    """The MCQSolvers in a file or a kustomization; raises DeliveryError if there is none."""
    text = kubectl("kustomize", str(path)) if path.is_dir() else path.read_text()
    found = [document for document in yaml.safe_load_all(text) if document]
    others = [document.get("kind") for document in found if document.get("kind") != "MCQSolver"]
    if others or not found:
        message = f"{path} should have MCQSolvers and nothing else; it has {others or 'nothing'}."
        raise DeliveryError(message)
    for document in found:
        document["metadata"].setdefault("namespace", "default")
    return found


def apply_solver(kubectl: Kubectl, manifest: dict[str, Any]) -> Solver:
    """Apply one solver."""
    kubectl(*APPLY, "--filename", "-", stdin=yaml.safe_dump(manifest))
    return Solver.of(manifest)


def wait_updated(kubectl: Kubectl, solver: Solver, image: str, *, seconds: float = READY_SECONDS) -> None:
    """Until the solver is Ready with this image; raises DeliveryError with its conditions if that does not come.

    Ready alone could be of what ran before: a new operator takes a moment to take over.
    """
    deadline = time.monotonic() + seconds
    while running_image(kubectl, solver) != image:
        if time.monotonic() > deadline:
            message = (
                f"After {seconds:.0f} s the Deployment of {solver.resource} still hasn't the image {image}."
            )
            raise DeliveryError(message)
        time.sleep(1)
    wait_ready(kubectl, solver, seconds=max(1, deadline - time.monotonic()))


def wait_ready(kubectl: Kubectl, solver: Solver, *, seconds: float) -> None:
    """Until the solver is Ready; raises DeliveryError with its conditions if that does not come."""
    wait = ("wait", "--for=condition=Ready", solver.resource, f"--timeout={int(seconds)}s")
    try:
        kubectl("--namespace", solver.namespace, *wait, timeout=seconds + 30)
    except KubectlError as error:
        shown = kubectl("--namespace", solver.namespace, "get", solver.resource, "--output", "json")
        lines = [f"  {c['type']}: {c['status']} ({c['reason']}) {c['message']}"
                 for c in json.loads(shown).get("status", {}).get("conditions", [])]  # fmt: skip
        message = "\n".join([f"{solver.resource} is not Ready: {error}", *lines])
        raise DeliveryError(message) from error


def running_image(kubectl: Kubectl, solver: Solver) -> str:
    """The image that the solver's Deployment is to run; empty while there is none."""
    what = ("get", f"deployment/{solver.name}", "--ignore-not-found", "--output")
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return kubectl("--namespace", solver.namespace, *what, path)


def remember(kubectl: Kubectl, manifests: list[dict[str, Any]]) -> None:
    """Write what the cluster has now where rollback will look for it."""
    found = kubectl("--namespace", NAMESPACE, "get", OPERATOR, "--ignore-not-found", "--output", "json")
    operator = json.loads(found) if found else None
    solvers = [_before(kubectl, manifest) for manifest in manifests] if operator else []
    record = {
        "revision": operator["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        if operator
        else None,
        "image": operator["spec"]["template"]["spec"]["containers"][0]["image"] if operator else None,
        "solvers": [solver for solver in solvers if solver],
    }
    DIST.mkdir(parents=True, exist_ok=True)
    PREVIOUS.write_text(json.dumps(record, indent=2) + "\n")


def _before(kubectl: Kubectl, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """A solver as it could be applied again, and the image it runs."""
    solver = Solver.of(manifest)
    found = kubectl(
        "--namespace", solver.namespace, "get", solver.resource, "--ignore-not-found", "--output", "json"
    )
    if not found:
        return None
    there = json.loads(found)
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: value for key, value in there["metadata"].items() if key in kept}
    applied = {
        "apiVersion": there["apiVersion"],
        "kind": there["kind"],
        "metadata": metadata,
        "spec": there["spec"],
    }
    return {"manifest": applied, "image": running_image(kubectl, solver)}
