"""Install the CRDs, the operator by digest and solvers into a cluster, and wait until they are ready."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import yaml

from hack.errors import InstallError
from hack.kubectl import Kubectl, KubectlError, wait_established
from hack.toolchain.paths import ROOT
from mcq_operator.api import MCQSolver
from mcq_operator.api.names import PAUSE_UPGRADE
from mcq_operator.api.rbac import NAMESPACE
from mcq_operator.desired import ServiceImages, replica_image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OPERATOR = "deployment/mcq-operator"
CRDS = ("mcqsolvers.mcq-operator.dev", "mcqexams.mcq-operator.dev", "mcqpolicies.mcq-operator.dev")
DEFAULT = ROOT / "config/default"
SAMPLE = ROOT / "config/samples/mcqsolver.yaml"
MONITORED_SAMPLE = SAMPLE.with_name("mcqsolver-monitored.yaml")
OVERLAY = ROOT / "build/deploy"
READY_SECONDS = 1800
APPLY = ("apply", "--server-side", "--force-conflicts")


@dataclass(frozen=True)
class Images:
    """The images by digest: REGISTRY/NAME@sha256:…; without `service_torch`, the configuration's image stays."""

    operator: str
    service: str
    service_torch: str | None = None

    @classmethod
    def of(cls, references: Mapping[str, str]) -> Images:
        """Return the images by the names of hack.images.build."""
        return cls(**{program.replace("-", "_"): each for program, each in references.items()})

    @property
    def references(self) -> dict[str, str]:
        """The images by the names of hack.images.build, without a missing `service_torch`."""
        return {program.replace("_", "-"): each for program, each in asdict(self).items() if each}

    def replicas(self, manifest: Mapping[str, Any]) -> str:
        """Return the image that an MCQSolver's replicas run."""
        images = ServiceImages(self.service, self.service_torch or "")
        return replica_image(MCQSolver.model_validate(manifest), images)


@dataclass(frozen=True)
class Solver:
    """A solver in the cluster."""

    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Solver:
        """Return the solver of a manifest that has a namespace."""
        return cls(manifest["metadata"]["namespace"], manifest["metadata"]["name"])

    @property
    def resource(self) -> str:
        """The solver's name for kubectl."""
        return f"mcqsolver/{self.name}"


def install_crds(kubectl: Kubectl) -> None:
    """Install the CRDs, which everything else needs."""
    kubectl(*APPLY, "--kustomize", str(ROOT / "config/crds"))
    wait_established(kubectl, CRDS)


def install_operator(kubectl: Kubectl, images: Images, base: Path) -> None:
    """Apply the kustomization `base` with these images; wait until all operator replicas run them."""
    write_overlay(images, base, OVERLAY)
    kubectl(*APPLY, "--kustomize", str(OVERLAY))
    wait_for_operator(kubectl)


def wait_for_operator(kubectl: Kubectl) -> None:
    """Wait until every operator replica has the newest revision and is ready. Raises InstallError."""
    scope = ("--namespace", NAMESPACE)
    try:
        kubectl(*scope, "rollout", "status", OPERATOR, "--timeout=300s")
    except KubectlError as error:
        pods = kubectl(*scope, "get", "pods", "--selector", "app.kubernetes.io/name=mcq-operator")
        message = f"The operator does not start: {error}\n{pods}`make diagnostics` collects its logs."
        raise InstallError(message) from error


def write_overlay(images: Images, base: Path, folder: Path) -> None:
    """Write a kustomization into `folder` that is `base` with the images by digest."""
    name, _, digest = images.operator.partition("@")
    variables = {
        "MCQ_OPERATOR_SERVICE_IMAGE": images.service,
        "MCQ_OPERATOR_SERVICE_TORCH_IMAGE": images.service_torch,
        "MCQ_OPERATOR_IMAGE": images.operator,
    }
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mcq-operator", "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"containers": [{
            "name": "operator",
            "env": [{"name": name, "value": image} for name, image in variables.items() if image],
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
    """Return the MCQSolvers in a file or kustomization. Raises InstallError if there is none, or another kind."""
    text = kubectl("kustomize", str(path)) if path.is_dir() else path.read_text()
    solvers = [document for document in yaml.safe_load_all(text) if document]
    others = [document.get("kind") for document in solvers if document.get("kind") != "MCQSolver"]
    if others or not solvers:
        raise InstallError(f"{path} should have MCQSolvers and nothing else; it has {others or 'nothing'}.")
    for document in solvers:
        document["metadata"].setdefault("namespace", "default")
    return solvers


def apply_solver(kubectl: Kubectl, manifest: dict[str, Any]) -> Solver:
    """Apply one solver."""
    kubectl(*APPLY, "--filename", "-", stdin=yaml.safe_dump(manifest))
    return Solver.of(manifest)


def wait_updated(kubectl: Kubectl, solver: Solver, image: str, *, seconds: float = READY_SECONDS) -> None:
    """Wait until the solver is Ready with this image. Raises InstallError with its conditions on timeout.

    Ready alone may describe the previous image, until a new operator takes over. A solver that keeps it by the
    annotation pause-upgrade raises at once.
    """
    deadline = time.monotonic() + seconds
    while running_image(kubectl, solver) != image:
        _refuse_paused(kubectl, solver)
        if time.monotonic() > deadline:
            message = (
                f"After {seconds:.0f} s the Deployment of {solver.resource} does not have the image {image}."
            )
            raise InstallError(message)
        time.sleep(1)
    wait_ready(kubectl, solver, seconds=max(1, deadline - time.monotonic()))


def _refuse_paused(kubectl: Kubectl, solver: Solver) -> None:
    """Raise InstallError if the operator keeps the solver's replicas because of its annotation pause-upgrade."""
    live = json.loads(kubectl("--namespace", solver.namespace, "get", solver.resource, "--output", "json"))
    for condition in live.get("status", {}).get("conditions", []):
        current = condition.get("observedGeneration") == live["metadata"]["generation"]
        if current and condition["reason"] == "UpgradeHeldBack" and PAUSE_UPGRADE in condition["message"]:
            raise InstallError(
                f"{solver.resource} keeps its replicas: {condition['message']} To upgrade them:"
                f" kubectl annotate -n {solver.namespace} {solver.resource} {PAUSE_UPGRADE}-"
            )


def wait_ready(kubectl: Kubectl, solver: Solver, *, seconds: float) -> None:
    """Wait until the solver is Ready. Raises InstallError with its conditions on timeout."""
    wait = ("wait", "--for=condition=Ready", solver.resource, f"--timeout={int(seconds)}s")
    try:
        kubectl("--namespace", solver.namespace, *wait, timeout=seconds + 30)
    except KubectlError as error:
        output = kubectl("--namespace", solver.namespace, "get", solver.resource, "--output", "json")
        lines = [f"  {c['type']}: {c['status']} ({c['reason']}) {c['message']}"
                 for c in json.loads(output).get("status", {}).get("conditions", [])]  # fmt: skip
        message = "\n".join([f"{solver.resource} is not Ready: {error}", *lines])
        raise InstallError(message) from error


def running_image(kubectl: Kubectl, solver: Solver) -> str:
    """Return the image in the solver's Deployment; empty if there is no Deployment."""
    get = ("get", f"deployment/{solver.name}", "--ignore-not-found", "--output")
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return kubectl("--namespace", solver.namespace, *get, path)
