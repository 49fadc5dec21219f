"""The local cluster: kind, with a registry, an Ingress controller and storage."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hack.cluster.addons import Addons
from hack.cluster.node_image import node_image
from hack.cluster.node_image.build import DEFAULT_VERSION, PUBLIC
from hack.cluster.registry import Registry
from hack.images import engine
from hack.kubectl import Kubectl, KubectlError
from hack.toolchain.commands import run
from hack.toolchain.errors import ProviderError
from hack.toolchain.paths import CACHE, CLUSTER, VOLUMES
from hack.toolchain.tools import Tools, locked

if TYPE_CHECKING:
    from hack.cluster.node_image import NodeImage
    from hack.toolchain.progress import Progress

NAME = "mcq"
NETWORK = "kind"
HTTP, HTTPS = 8080, 8443
MAX_NODES = 9
IP_FAMILIES = {"ipv4": "127.0.0.1", "ipv6": "::1", "dual": "127.0.0.1"}
"""The IP families of a cluster, and the loopback address of this machine that reaches its Ingress."""
API_SECONDS = 120
# The folder of kind's storage provisioner in a node.
VOLUMES_IN_NODE = "/var/local-path-provisioner"
INGRESS_NODE = {"ingress-ready": "true"}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PATCHES, PATCHES_IN_NODE = CLUSTER / "kubeadm-patches", "/kubeadm-patches"


def requested_nodes() -> int | None:
    """Return NODES from the environment. Raises ProviderError unless it is a number from 1 to MAX_NODES."""
    text = os.environ.get("NODES")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MAX_NODES:
        raise ProviderError(f"NODES={text} can't be used: a number from 1 to {MAX_NODES}, or unset for 1.")
    return int(text)


def requested_ip_family() -> str | None:
    """Return IP_FAMILY from the environment. Raises ProviderError unless it is one of IP_FAMILIES."""
    family = os.environ.get("IP_FAMILY") or None
    if family not in (None, *IP_FAMILIES):
        raise ProviderError(f"IP_FAMILY={family} can't be used: {', '.join(IP_FAMILIES)}, or unset for ipv4.")
    return family


@dataclass(frozen=True)
class KindCluster:
    """One kind cluster. Ingress and registry are on fixed loopback ports, so one cluster runs at a time."""

    progress: Progress

    @property
    def tools(self) -> Tools:
        """The Go binaries."""
        return Tools(CACHE, self.progress)

    @property
    def nodes(self) -> list[str]:
        """The nodes' names, equal to their containers' names; the control plane is first."""
        names = run([self._kind(), "get", "nodes", "--name", NAME]).split()
        return sorted(names, key=lambda name: (not name.endswith("-control-plane"), name))

    @property
    def pulls_public_images(self) -> bool:
        """True if the nodes run the public node image: then this machine reaches the public registries."""
        return self._image in PUBLIC.values()

    @property
    def ip_family(self) -> str:
        """The IP family of the Pods and Services, one of IP_FAMILIES."""
        configuration = run(["docker", "exec", self.nodes[0], "cat", "/kind/kubeadm.conf"])
        subnets = configuration.partition("podSubnet:")[2].partition("\n")[0]
        if "," in subnets:
            return "dual"
        return "ipv6" if ":" in subnets else "ipv4"

    def up(self) -> None:
        """Create the cluster if it is missing, and install its add-ons. The cluster is ready on return."""
        with locked(CLUSTER / ".lock"):
            engine.ensure(self.progress)
            if self._exists():
                self._start_stopped_nodes()
                self._refuse_other_settings()
                run([self._kind(), "export", "kubeconfig", "--name", NAME, "--kubeconfig", self.kubeconfig()])
            else:
                self._create(node_image(os.environ.get("KUBERNETES") or DEFAULT_VERSION, self.progress))
            Registry(self.progress).ensure(NETWORK, self.nodes)
            self._wait_for_the_api_server()
            Addons(self.kubectl_command, self.progress).install(
                has_network=self.pulls_public_images, ip_family=self.ip_family
            )

    def down(self) -> None:
        """Delete the cluster, the registry, their network, and our own engine. The cache stays."""
        with locked(CLUSTER / ".lock"):
            if not engine.answers():
                if not engine.left_behind():
                    self.progress.say("No Docker engine runs, so no cluster does.")
                    return
                engine.ensure(self.progress)  # it exited without `stop`: its containers return with it
            if self._exists():
                with self.progress.step("kind delete cluster"):
                    run([self._kind(), "delete", "cluster", "--name", NAME], timeout=300)
            self.kubeconfig().unlink(missing_ok=True)
            Registry(self.progress).remove()
            if not run([self._kind(), "get", "clusters"]).split():
                run(["docker", "network", "rm", NETWORK], check=False)
            engine.stop(self.progress)

    def status(self) -> bool:
        """Show the nodes and addresses; return True if the cluster exists."""
        if not engine.answers() or not self._exists():
            self.progress.say("The kind cluster is down.")
            return False
        self.progress.say(self.kubectl_command("get", "nodes", "--output=wide"))
        address = IP_FAMILIES[self.ip_family]
        loopback = f"[{address}]" if ":" in address else address
        for name, value in {
            "Ingress": f"http://{loopback}:{HTTP} and https://{loopback}:{HTTPS}",
            "registry": Registry.address,
            "volumes": VOLUMES,
            "kubeconfig": self.kubeconfig(),
            "kubectl": self.kubectl(),
        }.items():
            self.progress.say(f"  {name:24} {value}")
        return True

    def load(self, image: str) -> str:
        """Push the image to the cluster's registry; return the reference by digest for pods."""
        return Registry(self.progress).push(image)

    def trace_requests(self) -> None:
        """Make the Ingress controller send traces to the cluster's Jaeger."""
        Addons(self.kubectl_command, self.progress).install_ingress()

    def host_address(self) -> str:
        """Return an address of this machine that pods can reach: the first one of the nodes' network."""
        template = "{{range .IPAM.Config}}{{.Subnet}} {{end}}"
        subnets = run(["docker", "network", "inspect", NETWORK, "--format", template]).split()
        networks = [ipaddress.ip_network(subnet) for subnet in subnets]
        version = 6 if self.ip_family == "ipv6" else 4
        return str(next(network[1] for network in networks if network.version == version))

    def kubeconfig(self) -> Path:
        """Return the path of the cluster's own kubeconfig."""
        return CLUSTER / "kubeconfig"

    def kubectl(self) -> Path:
        """Return the path of a kubectl: our own build, else the one on PATH, else a new build."""
        ours = self.tools.binary("kubernetes", "kubectl")
        if not ours.exists() and (installed := shutil.which("kubectl")):
            return Path(installed)
        self.tools.build(["kubernetes"])
        return ours

    @property
    def kubectl_command(self) -> Kubectl:
        """kubectl with the cluster's kubeconfig."""
        return Kubectl(self.kubectl(), self.kubeconfig())

    def _kind(self) -> Path:
        if installed := shutil.which("kind"):
            return Path(installed)
        self.tools.build(["kind"])
        return self.tools.binary("kind")

    def _exists(self) -> bool:
        # By kind's label: the node image's build also builds kind, so it is not needed before.
        found = ["docker", "ps", "--all", "--quiet", f"--filter=label=io.x-k8s.kind.cluster={NAME}"]
        return bool(run(found).strip())

    @property
    def _image(self) -> str:
        return run(["docker", "inspect", "--format", "{{.Config.Image}}", self.nodes[0]]).strip()

    def _refuse_other_settings(self) -> None:
        requested, live = requested_nodes(), len(self.nodes)
        if requested and requested != live:
            message = f"The cluster is up with {live} node(s), not {requested}: run `make down` first."
            raise ProviderError(message)
        family = requested_ip_family()
        if family and family != self.ip_family:
            message = f"The cluster is up with {self.ip_family}, not {family}: run `make down` first."
            raise ProviderError(message)
        version = os.environ.get("KUBERNETES")
        if version and f":v{version}." not in self._image:
            message = (
                f"The cluster is up with {self._image}, not Kubernetes {version}: run `make down` first."
            )
            raise ProviderError(message)

    def _start_stopped_nodes(self) -> None:
        running = run(["docker", "ps", "--format", "{{.Names}}"]).split()
        for node in self.nodes:
            if node not in running:
                with self.progress.step(f"docker start {node}"):
                    run(["docker", "start", node])

    def _wait_for_the_api_server(self) -> None:
        """Wait for the API server of a restarted node. Raises KubectlError."""
        until = time.monotonic() + API_SECONDS
        while True:
            try:
                self.kubectl_command("get", "--raw=/readyz")
            except KubectlError:
                if time.monotonic() > until:
                    raise
                time.sleep(1)
            else:
                return

    def _create(self, image: NodeImage) -> None:
        VOLUMES.mkdir(parents=True, exist_ok=True)
        _write_patches()
        count = requested_nodes() or 1
        configuration = json.dumps(self._configuration(image, count, requested_ip_family() or "ipv4"))
        with self.progress.step(f"kind create cluster ({count} node{'s' if count > 1 else ''})"):
            create = ["create", "cluster", "--name", NAME, "--config", "-", "--image", image.reference]
            run(
                [self._kind(), *create, "--kubeconfig", self.kubeconfig(), "--wait=0s"],
                stdin=configuration,
                timeout=900,
            )

    @staticmethod
    def _configuration(image: NodeImage, count: int, family: str) -> dict[str, Any]:
        # Docker forwards a port to the node's address of the same family, and a Pod's hostPort has the Pod's families.
        ports = [
            {"containerPort": inner, "hostPort": outer, "listenAddress": IP_FAMILIES[family]}
            for inner, outer in ((80, HTTP), (443, HTTPS))
        ]
        volumes = [{"hostPath": str(VOLUMES), "containerPath": VOLUMES_IN_NODE}]
        patches = {"hostPath": str(PATCHES), "containerPath": PATCHES_IN_NODE, "readOnly": True}
        init: dict[str, Any] = {"kind": "InitConfiguration", "patches": {"directory": PATCHES_IN_NODE}}
        if count > 1:
            # NODES counts the nodes that run pods. kind removes the control plane's taint if that is the only node.
            init["nodeRegistration"] = {"taints": []}
        first = {
            "role": "control-plane",
            "labels": INGRESS_NODE,
            "extraPortMappings": ports,
            "extraMounts": [*volumes, patches],
            "kubeadmConfigPatches": [json.dumps(init)],
        }
        workers = [{"role": "worker", "extraMounts": volumes} for _ in range(count - 1)]
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "featureGates": {"ImageVolume": True},  # for oci:// models; on by default since Kubernetes 1.35
            # Since Kubernetes 1.35 the kubelet refuses cgroup v1 by default.
            "kubeadmConfigPatches": [json.dumps({"kind": "KubeletConfiguration", "failCgroupV1": False})],
            "networking": {
                "disableDefaultCNI": image.built,
                "ipFamily": family,
                "apiServerAddress": "127.0.0.1",
            },
            "nodes": [first, *workers],
        }


def _write_patches() -> None:
    """Make kubeadm request little CPU for the control plane: the default 650m are a third of a two-core machine."""
    PATCHES.mkdir(parents=True, exist_ok=True)
    for name in CONTROL_PLANE:
        container = {"name": name, "resources": {"requests": {"cpu": "20m"}}}
        (PATCHES / f"{name}0+strategic.json").write_text(json.dumps({"spec": {"containers": [container]}}))
