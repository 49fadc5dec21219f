"""Install KEDA from its module's manifests and prometheus-adapter from ours, built from pinned Go modules."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hack.cluster import crds
from hack.images import programs
from hack.kubectl import KubectlError, wait_established
from hack.monitoring import local_images

if TYPE_CHECKING:
    from hack.cluster.kind import KindCluster
    from hack.kubectl import Kubectl

ROOT = Path(__file__).resolve().parents[3]
OVERLAYS = ROOT / "build/autoscaling"
KEDA_NAMESPACE = "keda"
SCALED_OBJECTS = "scaledobjects.keda.sh"


@dataclass(frozen=True)
class Keda:
    """KEDA on one cluster."""

    provider: KindCluster
    kubectl: Kubectl

    def install(self) -> None:
        """Install KEDA and wait until its metrics are served."""
        images = local_images(self.provider, (programs.KEDA, programs.KEDA_METRICS))
        _apply(self.kubectl, "keda", _overlay(crds.directory(crds.KEDA) / "config/minimal", images))
        wait_established(self.kubectl, [SCALED_OBJECTS])
        for name in ("keda-operator", "keda-metrics-apiserver"):
            self.kubectl("-n", KEDA_NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=300s")
        _wait_served(self.kubectl, "v1beta1.external.metrics.k8s.io")

    def remove(self) -> None:
        """Remove the ScaledObjects first, because KEDA must release their finalizers, then KEDA."""
        if self.kubectl("get", "crd", SCALED_OBJECTS, "--ignore-not-found", "-o", "name"):
            self.kubectl("delete", SCALED_OBJECTS, "--all", "--all-namespaces", "--timeout=120s")
        _delete(self.kubectl, "keda")


@dataclass(frozen=True)
class PrometheusAdapter:
    """The server of the custom metrics API on one cluster."""

    provider: KindCluster
    kubectl: Kubectl

    def install(self) -> None:
        """Install the adapter and wait until its metrics are served."""
        images = local_images(self.provider, (programs.PROMETHEUS_ADAPTER,))
        _apply(self.kubectl, "prometheus-adapter", _overlay(ROOT / "monitoring/prometheus-adapter", images))
        rollout = ("rollout", "status", "deployment/prometheus-adapter", "--timeout=300s")
        self.kubectl("-n", "monitoring", *rollout)
        _wait_served(self.kubectl, "v1beta2.custom.metrics.k8s.io")

    def remove(self) -> None:
        """Remove the adapter if it is installed."""
        _delete(self.kubectl, "prometheus-adapter")


def _overlay(base: Path, images: dict[str, str]) -> dict[str, Any]:
    """Return a kustomization of the base that uses our copies of its images."""
    ours = {name: image.partition("@") for name, image in images.items()}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(base, OVERLAYS / "any")],
        "images": [
            {"name": name, "newName": new, "digest": digest} for name, (new, _, digest) in ours.items()
        ],
    }


def _apply(kubectl: Kubectl, name: str, overlay: dict[str, Any]) -> None:
    folder = OVERLAYS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))
    kubectl("apply", "--server-side", "--force-conflicts", "--kustomize", str(folder))


def _delete(kubectl: Kubectl, name: str) -> None:
    """Delete the objects of the last apply, if there was one."""
    folder = OVERLAYS / name
    if (folder / "kustomization.yaml").exists():
        kubectl("delete", "--ignore-not-found", "--kustomize", str(folder))


def _wait_served(kubectl: Kubectl, service: str) -> None:
    """Wait until the API server reaches the server of this metrics group."""
    try:
        kubectl("wait", f"apiservice/{service}", "--for=condition=Available", "--timeout=120s")
    except KubectlError as error:
        conditions = kubectl("get", f"apiservice/{service}", "-o", "jsonpath={.status.conditions}")
        message = f"{error}: {conditions}"
        raise KubectlError(message) from error
