"""The local provider: a real Kubernetes as processes of this machine, with or without a node."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack.cluster import addons, controlplane, teardown
from hack.cluster.commands import run
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ProviderError, TakenError
from hack.cluster.kernel import Kernel
from hack.cluster.member import SECOND, Member, members
from hack.cluster.network import Network
from hack.cluster.node import Node
from hack.cluster.processes import Processes
from hack.cluster.proxy import Proxy
from hack.cluster.tools import NODE_PROGRAMS, Tools, install_programs, locked
from hack.images.builder import builder

if TYPE_CHECKING:
    from pathlib import Path

    from hack.cluster.instance import Instance
    from hack.cluster.processes import Part
    from hack.cluster.progress import Progress

# Pods that no controller replaces, and what they keep in emptyDirs, go with the node.
DRAIN = ("--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")

# The ports that people and manifests know: if one of them is taken, another can't stand in.
WELL_KNOWN = {"http": "traefik", "https": "traefik", "registry": "registry", "api": "kube-apiserver"}


@dataclass(frozen=True)
class Local:
    """One local cluster."""

    instance: Instance
    progress: Progress

    @property
    def tools(self) -> Tools:
        """The Go binaries."""
        return Tools(self.instance.cache, self.progress)

    @property
    def processes(self) -> Processes:
        """The processes of this cluster."""
        return Processes(self.instance.state / "processes", self.instance.logs)

    @property
    def control_plane(self) -> ControlPlane:
        """etcd, the API server and the controllers."""
        return ControlPlane(self.instance, self.tools)

    def up(self) -> None:
        """Start what does not run yet; everything is ready when this returns."""
        self._refuse_unfit_machines()
        with locked(self.instance.home / ".lock"):
            self._provide_programs()
            if not self.processes.names():
                self._clear_logs()
            self._refuse_taken_ports()
            if self.instance.has_node:
                self.instance.volumes.mkdir(parents=True, exist_ok=True)
                self.instance.state.mkdir(parents=True, exist_ok=True)
                self._prepare_network()
            with self.progress.step("certificates and configuration"):
                self.control_plane.configure()
            self._ensure(self.control_plane.parts())
            if self.instance.has_node:
                self._node_up()
            self.processes.confirm()

    def down(self) -> None:
        """End everything and leave nothing but images, volumes and logs."""
        with locked(self.instance.home / ".lock"):
            if self.instance.state.exists():
                teardown.remove(self.instance, self.processes, self.progress)

    def add_node(self) -> Member:
        """Give the cluster, which is up, a second node; nothing if it has one. Returns it when it is Ready."""
        self._refuse_down()
        with locked(self.instance.home / ".lock"):
            node = Member(self.instance, SECOND)
            if not node.joined:
                Network(node).refuse_conflicts()
            self._join(node)
        return node

    def remove_node(self) -> None:
        """Drain the second node and take it away; nothing if there is none."""
        with locked(self.instance.home / ".lock"):
            node = Member(self.instance, SECOND)
            if not node.joined:
                return
            self._refuse_down()
            with self.progress.step(f"drain {node.name}"):
                self._kubectl("drain", node.name, *DRAIN, timeout=400)
            teardown.remove_node(node, self.processes, self.progress)
            self._kubectl("delete", "node", node.name)

    def status(self) -> bool:
        """Show the parts, addresses and paths; returns whether all parts run."""
        names = self.processes.names()
        if not names:
            self.progress.say(f"The cluster {self.instance.name!r} is down.")
            return False
        for name in names:
            pid = self.processes.running(name)
            self.progress.say(f"  {name:24} {f'running, pid {pid}' if pid else 'NOT RUNNING'}")
        facts = {"API server": self.instance.server, "kubeconfig": self.instance.kubeconfig}
        if self.instance.has_node:
            ports = self.instance.ports()
            facts["Ingress"] = f"http://127.0.0.1:{ports.http} and https://127.0.0.1:{ports.https}"
            facts["registry"] = self.instance.registry
            facts["volumes"] = self.instance.volumes
        facts |= {"logs": self.instance.logs, "audit log": self.instance.audit_log, "kubectl": self.kubectl()}
        for name, value in facts.items():
            self.progress.say(f"  {name:24} {value}")
        return all(self.processes.running(name) for name in names)

    def load(self, image: str) -> str:
        """Push the image to the cluster's registry; returns the reference by digest that its node pulls."""
        if not self.processes.running("registry"):
            message = f"The cluster {self.instance.name!r} has no registry running: start it with `up`."
            raise ProviderError(message)
        with self.progress.step(f"push {image}"):
            return self._registry().push(builder(), image)

    def trace_requests(self, endpoint: str) -> None:
        """Have the Ingress controller begin a trace for each request, and send it to this OTLP URL, from now on."""
        with locked(self.instance.home / ".lock"):
            self.processes.stop(["traefik"])
            self._ensure([self._addons().ingress(traces_to=endpoint)])

    def kubeconfig(self) -> Path:
        """The path of the administrator's kubeconfig."""
        return self.instance.kubeconfig

    def kubectl(self) -> Path:
        """The path of a kubectl of the cluster's version."""
        return self.tools.binary("kubernetes", "kubectl")

    def _refuse_unfit_machines(self) -> None:
        advice = "Start a Docker engine and use kind (CLUSTER=kind), or a cluster you have (CLUSTER=current)."
        if sys.platform != "linux":
            message = f"The local cluster needs Linux. {advice}"
            raise ProviderError(message)
        if self.instance.has_node and os.geteuid() != 0:
            message = f"The local cluster needs root, for containers and their network. {advice}"
            raise ProviderError(message)

    def _provide_programs(self) -> None:
        if self.instance.has_node:
            install_programs(NODE_PROGRAMS, self.progress, cni=True)
            self.tools.build((*controlplane.MODULES, *addons.MODULES))
        else:
            install_programs({"openssl": "openssl"}, self.progress)
            self.tools.build(controlplane.MODULES)

    def _clear_logs(self) -> None:
        shutil.rmtree(self.instance.logs, ignore_errors=True)
        self.instance.logs.mkdir(parents=True)

    def _ensure(self, parts: list[Part]) -> None:
        for part in parts:
            self.processes.ensure(part, self.progress)

    def _registry(self) -> addons.Registry:
        return addons.Registry(self.instance, self.tools.binary("registry"))

    def _prepare_network(self) -> None:
        kernel, network = Kernel(self.instance.network_record), Network(Member(self.instance))
        if not kernel.prepared:
            network.refuse_conflicts()
        kernel.prepare()
        network.make()

    def _node_up(self) -> None:
        self._ensure([self._registry().part()])
        for node in members(self.instance):
            self._join(node)
        self._ensure([Proxy(self.instance, self.control_plane).part()])
        extras = self._addons()
        with self.progress.step("IngressClass, StorageClass, Gateway"):
            extras.apply()
        self._ensure(extras.parts())

    def _join(self, member: Member) -> None:
        node = Node(member, self.control_plane, self._helper_image(self._registry()))
        node.configure()
        Network(member).make()
        self._ensure(node.parts())

    def _refuse_down(self) -> None:
        if not self.processes.running("kubelet"):
            message = f"The cluster {self.instance.name!r} is not up: start it with `up`."
            raise ProviderError(message)

    def _kubectl(self, *arguments: str, timeout: float = 120) -> None:
        run([self.kubectl(), f"--kubeconfig={self.instance.kubeconfig}", *arguments], timeout=timeout)

    def _addons(self) -> addons.Addons:
        return addons.Addons(self.instance, self.control_plane, self._helper_image(self._registry()))

    def _helper_image(self, registry: addons.Registry) -> str:
        """The reference of the busybox image, built once in the cluster's life."""
        record = self.instance.state / "helper-image"
        if not record.exists():
            with self.progress.step("image for pods' sandboxes"):
                record.write_text(registry.push_busybox(self.instance.state / "busybox"))
        return record.read_text()

    def _refuse_taken_ports(self) -> None:
        ports, running = self.instance.ports(), self.processes.running
        for role, part in WELL_KNOWN.items():
            port = getattr(ports, role)
            if (role == "api" or self.instance.has_node) and not running(part) and not _free(port):
                message = f"Port {port}, for {part}, is taken by {_owner(port)}: stop that first."
                raise TakenError(message)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _owner(port: int) -> str:
    """The process that listens on the port, as far as `ss` may see it."""
    if not shutil.which("ss"):
        return "another process"
    shown = run(["ss", "-Hltnp", f"sport = :{port}"], check=False).split()
    return shown[-1] if shown and shown[-1].startswith("users:") else "another process"
