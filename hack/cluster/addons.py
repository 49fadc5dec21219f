"""A kind cluster's add-ons: network plugin (with our node image), Ingress controller, StorageClass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster import crds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hack.kubectl import Kubectl
    from hack.toolchain.progress import Progress

MANIFESTS = Path(__file__).parent / "manifests"
SERVICES_IPV6 = "fd00:10:96::/112"
"""The default range of kind, as is the one of IPv4 below."""
KUBE_ROUTER_ARGUMENTS = {
    "ipv4": [],
    "ipv6": [
        "--enable-ipv4=false",
        "--enable-ipv6=true",
        "--router-id=generate",
        f"--service-cluster-ip-range={SERVICES_IPV6}",
    ],
    "dual": ["--enable-ipv6=true", f"--service-cluster-ip-range=10.96.0.0/16,{SERVICES_IPV6}"],
}
JAEGER = "http://jaeger.monitoring.svc:4318/v1/traces"


@dataclass(frozen=True)
class Addons:
    """Installs one cluster's add-ons; a second install changes nothing."""

    kubectl: Kubectl
    progress: Progress

    def install(self, *, has_network: bool, ip_family: str) -> None:
        """Install all add-ons and wait until they run. Raises KubectlError."""
        if not has_network:
            with self.progress.step("kube-router"):
                self._install_network(ip_family)
        with self.progress.step("nodes are Ready"):
            self.kubectl("wait", "nodes", "--all", "--for=condition=Ready", "--timeout=180s")
        with self.progress.step("StorageClass, Gateway API, Traefik, DNS"):
            self._apply("storage.yaml")
            # Exactly one default class: kind's own does not name volumes after their claims.
            no_default = "storageclass.kubernetes.io/is-default-class=false"
            self.kubectl("annotate", "--overwrite", "storageclass", "standard", no_default)
            for path in crds.files(crds.GATEWAY_API):
                self._server_side(path.read_text())
            self.install_ingress()
            self._apply("gateway.yaml")
            for namespace, name in (
                ("kube-system", "coredns"),
                ("local-path-storage", "local-path-provisioner"),
            ):
                self._wait(namespace, name)

    def install_ingress(self) -> None:
        """Install Traefik, with tracing if Jaeger runs in the cluster."""
        jaeger = self.kubectl(
            "-n", "monitoring", "get", "service", "jaeger", "--ignore-not-found", "-o", "name"
        )
        arguments = [f"--tracing.otlp.http.endpoint={JAEGER}"] if jaeger else []
        self._server_side(_with_arguments("traefik.yaml", "--providers.kubernetesingress=true", arguments))
        self._wait("traefik", "traefik")

    def _install_network(self, ip_family: str) -> None:
        arguments = KUBE_ROUTER_ARGUMENTS[ip_family]
        self._server_side(_with_arguments("kube-router.yaml", "--run-router=true", arguments))

    def _wait(self, namespace: str, deployment: str) -> None:
        self.kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", "--timeout=300s")

    def _apply(self, name: str) -> None:
        self._server_side((MANIFESTS / name).read_text())

    def _server_side(self, manifests: str) -> None:
        apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=mcq-cluster", "--filename=-"]
        self.kubectl(*apply, stdin=manifests)


def _with_arguments(name: str, after: str, arguments: Iterable[str]) -> str:
    """Return a manifest with more arguments of its container, behind an argument that it has."""
    line = "            - {}\n".format
    present = line(after)
    return (MANIFESTS / name).read_text().replace(present, present + "".join(map(line, arguments)))
