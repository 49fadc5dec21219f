"""Install the monitoring stack on the demo's cluster: `python -m hack.monitoring`, after `python -m hack.deploy`.

A kind cluster without public images gets images built from the programs' Go modules. Grafana is not a Go module and is
omitted there. For another cluster without public registries, MONITORING_IMAGES names a JSON file of
{public image: its copy by digest}; parts without a copy are omitted. GRAFANA_HOST adds an Ingress for Grafana, which
asks for a password; no other part has an Ingress.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hack.cluster import crds
from hack.cluster.kind import KindCluster
from hack.cluster.providers import Provider, choose
from hack.deploy import FAILURES, Deployed
from hack.errors import SettingError
from hack.images import programs
from hack.kubectl import Kubectl, KubectlError, wait_established
from hack.toolchain.paths import ROOT
from hack.toolchain.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Collection

MANIFESTS = ROOT / "monitoring"
OVERLAYS = ROOT / "build/monitoring"
NAMESPACE = "monitoring"
PAGES = {
    # page: its Service and port
    "prometheus": ("prometheus-operated", 9090),
    "alertmanager": ("alertmanager-operated", 9093),
    "jaeger": ("jaeger", 16686),
    "grafana": ("grafana", 3000),
}
GRAFANA_LOGIN = """The user of Grafana is admin, the password:
kubectl -n monitoring get secret grafana -o go-template='{{.data.password | base64decode}}'"""
RECEIVER = "alertmanager-webhook"
"""The Secret with the address that gets the alerts."""
NO_RECEIVER = f"""Alerts go to nobody yet. Send them to a webhook:
kubectl -n monitoring create secret generic {RECEIVER} --from-literal=url=https://..."""
OPERATOR = "prometheus-operator"
"""The name of our Deployment of prometheus-operator."""
OPERATOR_IMAGE = re.compile("/prometheus-operator[:@]")
IMAGES = (
    programs.PROMETHEUS_OPERATOR, programs.CONFIG_RELOADER, programs.PROMETHEUS, programs.ALERTMANAGER,
    programs.JAEGER,
)  # fmt: skip
PROMETHEUS_ALONE = IMAGES[:3]
RELOADER = "quay.io/prometheus-operator/prometheus-config-reloader"
PROMETHEUS = "quay.io/prometheus/prometheus"
ALERTMANAGER = "quay.io/prometheus/alertmanager"
JAEGER = "quay.io/jaegertracing/jaeger"
GRAFANA = "docker.io/grafana/grafana"
OPTIONAL = {
    # image: the resource to wait for, and the kustomize target of the object with the image
    ALERTMANAGER: ("alertmanager/mcq", {"kind": "Alertmanager"}),
    JAEGER: ("deployment/jaeger", {"kind": "Deployment", "name": "jaeger"}),
    GRAFANA: ("deployment/grafana", {"labelSelector": "app.kubernetes.io/name=grafana"}),
}
DELETE = yaml.safe_dump({"apiVersion": "any", "kind": "any", "metadata": {"name": "any"}, "$patch": "delete"})
KINDS = ("prometheuses", "alertmanagers", "servicemonitors", "prometheusrules")


def monitoring(
    deployed: Deployed, progress: Progress, *, only: Collection[str] = IMAGES, grafana_host: str = ""
) -> bool:
    """Install the stack; return True if Grafana is part of it. Raises one of FAILURES.

    On a kind cluster without public images, `only` selects the parts by image. With `grafana_host`, Grafana has an
    Ingress.
    """
    images = _images(deployed.provider, only)
    kubectl = deployed.kubectl
    optional = [image for image in OPTIONAL if not images or image in images]
    if grafana_host and GRAFANA not in optional:
        message = f"GRAFANA_HOST={grafana_host} can't be used: there is no image of Grafana for this cluster."
        raise SettingError(message)
    if installed := _installed_operator(kubectl):
        progress.say(f"The cluster has prometheus-operator: {installed}")
    else:
        with progress.step("install prometheus-operator"):
            _apply(kubectl, "prometheus-operator", **_prometheus_operator(images))
            wait_established(kubectl, [f"{kind}.monitoring.coreos.com" for kind in KINDS])
            rollout = ("rollout", "status", f"deployment/{OPERATOR}", "--timeout=300s")
            kubectl("-n", NAMESPACE, *rollout)
    parts = ["prometheus/mcq", *(OPTIONAL[image][0] for image in optional)]
    with progress.step(f"install {', '.join(parts)}"):
        _apply(kubectl, "stack", **_stack(images, grafana_host))
        if GRAFANA in optional:
            ensure_password(kubectl)
        for part in parts:
            kubectl("-n", NAMESPACE, "wait", part, "--for=condition=Available", "--timeout=300s")
    if isinstance(deployed.provider, KindCluster) and JAEGER in optional:
        deployed.provider.trace_requests()
    return GRAFANA in optional


def _installed_operator(kubectl: Kubectl) -> str | None:
    """Return the namespace and name of a prometheus-operator that is not the stack's: two would act on each object."""
    deployments = json.loads(kubectl("get", "deployments", "--all-namespaces", "-o", "json"))["items"]
    for each in deployments:
        namespace, name = each["metadata"]["namespace"], each["metadata"]["name"]
        images = [container["image"] for container in each["spec"]["template"]["spec"]["containers"]]
        if (namespace, name) != (NAMESPACE, OPERATOR) and any(map(OPERATOR_IMAGE.search, images)):
            return f"{namespace}/{name}"
    return None


def ensure_password(kubectl: Kubectl) -> None:
    """Create the Secret with the password of Grafana's administrator if it is missing. Raises KubectlError."""
    if kubectl("-n", NAMESPACE, "get", "secret", "grafana", "--ignore-not-found", "-o", "name"):
        return
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "grafana", "namespace": NAMESPACE},
        "stringData": {"password": secrets.token_urlsafe(24)},
    }
    # Not as an argument: every user of the machine can read arguments.
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(secret))


def _apply(kubectl: Kubectl, name: str, **overlay: Any) -> None:
    folder = OVERLAYS / name
    folder.mkdir(parents=True, exist_ok=True)
    frame = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**frame, **overlay}, sort_keys=False))
    kubectl("apply", "--server-side", "--force-conflicts", "--kustomize", str(folder))


def _prometheus_operator(images: dict[str, str]) -> dict[str, Any]:
    """Return the overlay of monitoring/prometheus-operator; with our images its bundle comes from the Go module."""
    base = MANIFESTS / "prometheus-operator"
    if not images:
        return {"resources": _bases(base)}
    module = crds.directory(crds.PROMETHEUS_OPERATOR)
    version = re.search(r"\?ref=(\S+)", (base / "kustomization.yaml").read_text())
    if version is None or not module.name.endswith(f"@{version[1]}"):
        message = f"{base} and hack/toolchain/modules/apis name different versions of prometheus-operator."
        raise KubectlError(message)
    reloader = f"--prometheus-config-reloader={images[RELOADER]}"
    return {
        "namespace": NAMESPACE,
        "resources": _bases(MANIFESTS / "namespace", module),
        "images": _image_replacements(images),
        "patches": [_replace_patch("Deployment", "/spec/template/spec/containers/0/args/1", reloader)],
    }


def _stack(images: dict[str, str], grafana_host: str = "") -> dict[str, Any]:
    """Return the overlay of monitoring; kustomize needs patches for custom resources' images."""
    overlay: dict[str, Any] = {"resources": _bases(MANIFESTS)}
    patches = []
    if grafana_host:
        overlay["components"] = _bases(MANIFESTS / "ingress")
        patches.append(_replace_patch("Ingress", "/spec/rules/0/host", grafana_host))
    if not images:
        return {**overlay, "patches": patches}
    custom = {"Prometheus": PROMETHEUS, "Alertmanager": ALERTMANAGER}
    patches += [
        _replace_patch(kind, "/spec/image", images[name]) for kind, name in custom.items() if name in images
    ]
    patches += [
        {"target": where, "patch": DELETE} for image, (_, where) in OPTIONAL.items() if image not in images
    ]
    return {**overlay, "images": _image_replacements(images), "patches": patches}


def _image_replacements(images: dict[str, str]) -> list[dict[str, str]]:
    """Return an overlay's `images` that replaces public images by ours."""
    ours = {name: image.partition("@") for name, image in images.items()}
    return [{"name": name, "newName": new, "digest": digest} for name, (new, _, digest) in ours.items()]


def _bases(*folders: Path) -> list[str]:
    """Return the folders as relative paths, because kustomize takes no absolute ones."""
    return [os.path.relpath(folder, OVERLAYS / "any") for folder in folders]


def _replace_patch(kind: str, path: str, value: str) -> dict[str, Any]:
    patch = yaml.safe_dump([{"op": "replace", "path": path, "value": value}])
    return {"target": {"kind": kind}, "patch": patch}


def _images(provider: Provider, only: Collection[str]) -> dict[str, str]:
    """Return replacements for the public images; empty to use the public ones."""
    mirror = os.environ.get("MONITORING_IMAGES")
    if mirror:
        replacements: dict[str, str] = json.loads(Path(mirror).read_text())
        return replacements
    return local_images(provider, only) if isinstance(provider, KindCluster) else {}


def local_images(provider: KindCluster, only: Collection[str] = IMAGES) -> dict[str, str]:
    """Return {image: its reference in the cluster's registry}; empty where nodes pull the public images."""
    if provider.pulls_public_images:
        return {}
    programs.ensure(only, provider.progress)
    return {reference.rpartition(":")[0]: provider.load(reference) for reference in only}


def page(deployed: Deployed, name: str, path: str = "") -> str:
    """Return the command that forwards a port of this machine to a page of the stack, and the page's address."""
    service, port = PAGES[name]
    kubectl = f"KUBECONFIG={deployed.provider.kubeconfig()} {deployed.provider.kubectl()}"
    return f"{kubectl} -n {NAMESPACE} port-forward service/{service} {port}  # http://localhost:{port}{path}"


def main() -> None:
    """Install the stack, or exit with the error."""
    progress = Progress()
    try:
        provider = choose(progress)
        deployed = Deployed(provider, Kubectl(provider.kubectl(), provider.kubeconfig()))
        grafana = monitoring(deployed, progress, grafana_host=os.environ.get("GRAFANA_HOST", ""))
        search = ("get", "secret", RECEIVER, "--ignore-not-found", "-o", "name")
        receiver = deployed.kubectl("-n", NAMESPACE, *search)
    except FAILURES as error:
        sys.exit(f"\n{error}")
    pages = [page(deployed, name) for name in PAGES if grafana or name != "grafana"]
    print("\n".join([*pages, *([GRAFANA_LOGIN] if grafana else []), *([] if receiver else [NO_RECEIVER])]))


if __name__ == "__main__":
    main()
