"""From nothing to a cluster where an MCQSolver can be applied: `python -m hack.deploy`.

Cluster, images, CRDs and operator; idempotent, so that the second time only finds that everything is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.errors import ClusterError
from hack.cluster.local import Local
from hack.cluster.progress import Progress
from hack.cluster.providers import Provider, choose
from hack.images.build import PROGRAMS, build, tag
from hack.images.builder import ImageError
from hack.kubectl import Kubectl, KubectlError

ROOT = Path(__file__).resolve().parent.parent
OVERLAY = ROOT / "build/deploy"
NAMESPACE = "mcq-operator-system"
CRD = "mcqsolvers.mcq-operator.dev"
FAILURES = (ClusterError, ImageError, KubectlError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Deployed:
    """A cluster with the operator in it."""

    provider: Provider
    kubectl: Kubectl


def deploy(progress: Progress) -> Deployed:
    """Bring it up. Raises one of FAILURES, with what to do."""
    provider = choose(progress, control_plane_only=False, name=None)
    provider.up()
    progress.say("Images (layers that have not changed are cached)")
    build()
    references = {program: provider.load(tag(program)) for program in PROGRAMS}
    kubectl = Kubectl(provider.kubectl(), provider.kubeconfig())
    with progress.step("install CRDs and operator"):
        _install(kubectl, references)
    return Deployed(provider, kubectl)


def seed_model(provider: Provider, namespace: str, claim: str) -> None:
    """Put the prepared model where the local cluster will make the claim's volume, so that no pod fetches it.

    Hard links: the weights that the pods map are the very pages of the one file in the cache.
    """
    if not isinstance(provider, Local):
        return
    volume = provider.instance.volumes / namespace / claim
    printed = subprocess.run([ROOT / "hack/model"], stdout=subprocess.PIPE, text=True, check=True).stdout
    prepared = Path(printed.strip())
    volume.mkdir(parents=True, exist_ok=True)
    volume.chmod(0o777)  # the service runs as an ordinary user, and writes beside it what it lacks
    if not (volume / prepared.name).exists():
        shutil.copytree(prepared, volume / prepared.name, copy_function=os.link)


def _install(kubectl: Kubectl, references: dict[str, str]) -> None:
    OVERLAY.mkdir(parents=True, exist_ok=True)
    overlay = _overlay(references)
    (OVERLAY / "kustomization.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))
    kubectl("apply", "--server-side", "--force-conflicts", "--kustomize", str(OVERLAY))
    kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=60s")
    kubectl("--namespace", NAMESPACE, "rollout", "status", "deployment/mcq-operator", "--timeout=300s")


def _overlay(references: dict[str, str]) -> dict[str, Any]:
    """config/default with the images of this checkout, by digest."""
    name, _, digest = references["operator"].partition("@")
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mcq-operator", "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"containers": [{
            "name": "operator",
            "env": [{"name": "MCQ_OPERATOR_SERVICE_IMAGE", "value": references["service"]}],
        }]}}},
    }  # fmt: skip
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../config/default"],
        "images": [{"name": "mcq-operator", "newName": name, "digest": digest}],
        "patches": [{"patch": yaml.safe_dump(patch)}],
    }


def main() -> int:
    """Deploy, or exit with what failed."""
    progress = Progress()
    try:
        deploy(progress)
    except FAILURES as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
