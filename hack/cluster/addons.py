"""What a bare Kubernetes lacks: a registry, DNS, an Ingress controller and storage."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hack.cluster import crds
from hack.cluster import instance as names
from hack.cluster.api import listening
from hack.cluster.commands import run
from hack.cluster.files import write
from hack.cluster.processes import Part
from hack.images.builder import Builder, builder

if TYPE_CHECKING:
    from hack.cluster.controlplane import ControlPlane
    from hack.cluster.instance import Instance

MODULES = ("registry", "coredns", "traefik", "local-path-provisioner")
MANIFESTS = Path(__file__).parent / "manifests"
STORAGE_NAMESPACE = "local-path-storage"
COREDNS = """\
{domain}:53 in-addr.arpa:53 {{
    bind {address}
    errors
    ready 127.0.0.1:{ready_port}
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
}}
.:53 {{
    bind {address}
    errors
    {forward}
    cache 30
}}
"""


@dataclass(frozen=True)
class Registry:
    """The OCI registry on the loopback address; what it holds outlives `down`."""

    instance: Instance
    binary: Path

    def part(self) -> Part:
        """The registry's process."""
        configuration = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.instance.home / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.instance.registry},
        }
        path = self.instance.state / "registry.yaml"
        write(path, json.dumps(configuration))
        command: list[str | Path] = [self.binary, "serve", path]
        # Without this its client of a tracing collector waits for one that isn't there.
        quiet = {"OTEL_TRACES_EXPORTER": "none"}
        port = self.instance.ports().registry
        return Part("registry", command, ready=lambda: listening("127.0.0.1", port), env=quiet)

    def push(self, builder: Builder, image: str) -> str:
        """Push a locally built image; returns the reference by digest that the node can pull."""
        path = image.split("@")[0].removeprefix("localhost/")
        name, _, tag = path.partition(":")
        digest = builder.push(image, f"{self.instance.registry}/{name}:{tag or 'latest'}")
        return f"{self.instance.registry}/{name}@{digest}"

    def push_busybox(self, scratch: Path) -> str:
        """Build and push the image that holds pods' namespaces and makes volumes' directories.

        FROM scratch with the machine's static busybox, so that no public registry is needed.
        """
        busybox = shutil.which("busybox")
        assert busybox  # noqa: S101 (installed before)
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "root/bin").mkdir(parents=True)
        shutil.copy2(busybox, scratch / "root/bin/busybox")
        for name in run([busybox, "--list"]).split():
            if name != "busybox":
                (scratch / "root/bin" / name).symlink_to("busybox")
        dockerfile = scratch / "Dockerfile"
        dockerfile.write_text('FROM scratch\nCOPY root /\nCMD ["/bin/sleep", "2147483647"]\n')
        tag = "localhost/mcq-busybox:latest"
        engine = builder()
        engine.build(dockerfile, scratch, tag)
        return self.push(engine, tag)


@dataclass(frozen=True)
class Addons:
    """DNS, Ingress and storage, as processes beside the control plane."""

    instance: Instance
    control_plane: ControlPlane
    helper_image: str

    def parts(self) -> list[Part]:
        """The processes, in the order they start in."""
        return [self._storage(), self._dns(), self.ingress()]

    def apply(self) -> None:
        """Apply IngressClass, StorageClass, the provisioner's namespace, and the Gateway API with a Gateway."""
        for path in crds.files(crds.GATEWAY_API):
            self._apply(path.read_text())
        self._apply((MANIFESTS / "addons.yaml").read_text())
        # Traefik takes for a listener's the entry point that has its port.
        port = self.instance.ports().http
        self._apply((MANIFESTS / "gateway.yaml").read_text().replace("8080", str(port)))

    def ingress(self, *, traces_to: str | None = None) -> Part:
        """The Ingress controller; with `traces_to`, an OTLP URL, each request's trace begins in it."""
        ports = self.instance.ports()
        command: list[str | Path] = [
            self.control_plane.tools.binary("traefik"),
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            f"--entrypoints.web.address=127.0.0.1:{ports.http}",
            f"--entrypoints.websecure.address=127.0.0.1:{ports.https}",
            "--entrypoints.websecure.http.tls=true",
            "--providers.kubernetesingress=true",
            "--providers.kubernetesingress.ingressclass=traefik",
            "--providers.kubernetesingress.ingressendpoint.ip=127.0.0.1",
            "--providers.kubernetesgateway=true",
            "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1",
            "--log.level=INFO",
            "--log.nocolor=true",
            *([f"--tracing.otlp.http.endpoint={traces_to}"] if traces_to else []),
        ]
        env = {"KUBECONFIG": str(self._kubeconfig("traefik"))}
        return Part("traefik", command, ready=lambda: listening("127.0.0.1", ports.http), env=env)

    def _apply(self, manifests: str) -> None:
        kubectl = self.control_plane.tools.binary("kubernetes", "kubectl")
        server_side = ["apply", "--server-side", "--field-manager=mcq-cluster", "--filename=-"]
        run([kubectl, f"--kubeconfig={self.instance.kubeconfig}", *server_side], stdin=manifests)

    def _kubeconfig(self, user: str) -> Path:
        return self.control_plane.kubeconfig(f"{user}.kubeconfig", user=user, group="system:masters")

    def _dns(self) -> Part:
        ports = self.instance.ports()
        nameservers = [
            line
            for line in Path("/etc/resolv.conf").read_text().splitlines()
            if line.startswith("nameserver")
        ]
        path = self.instance.state / "Corefile"
        write(
            path,
            COREDNS.format(
                domain=names.DNS_DOMAIN,
                address=names.BRIDGE_ADDRESS,
                ready_port=ports.dns_ready,
                kubeconfig=self._kubeconfig("coredns"),
                forward="forward . /etc/resolv.conf" if nameservers else "",
            ),
        )
        command: list[str | Path] = [self.control_plane.tools.binary("coredns"), "-conf", path]
        return Part("coredns", command, ready=lambda: listening(names.BRIDGE_ADDRESS, 53))

    def _storage(self) -> Part:
        state = self.instance.state
        configuration, helper_pod = state / "local-path.json", state / "local-path-helper.yaml"
        paths = [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(self.instance.volumes)]}]
        write(configuration, json.dumps({"nodePathMap": paths}))
        write(helper_pod, json.dumps(self._helper_pod()))
        command: list[str | Path] = [
            self.control_plane.tools.binary("local-path-provisioner"),
            "start",
            f"--config={configuration}",
            f"--helper-pod-file={helper_pod}",
            f"--kubeconfig={self._kubeconfig('local-path-provisioner')}",
            f"--namespace={STORAGE_NAMESPACE}",
            "--service-account-name=default",
        ]
        return Part("local-path-provisioner", command, ready=lambda: True)

    def _helper_pod(self) -> dict[str, Any]:
        container = {"name": "helper-pod", "image": self.helper_image, "imagePullPolicy": "IfNotPresent"}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "helper-pod"},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        }
