"""The machine as a node: containerd and kubelet, of this cluster's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hack.cluster import cgroups
from hack.cluster import instance as names
from hack.cluster.commands import run
from hack.cluster.errors import MissingToolError
from hack.cluster.files import write
from hack.cluster.network import outgoing_mtu
from hack.cluster.processes import Part
from hack.cluster.tools import cni_plugins

if TYPE_CHECKING:
    from hack.cluster.controlplane import ControlPlane
    from hack.cluster.member import Member

MAX_PODS = 250
CONTAINERD = """\
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  stream_server_address = "127.0.0.1"
  # Where this process may not lower its own score, runc otherwise fails to start any container.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{state}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{cni_configuration}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{registries}"
"""


@dataclass(frozen=True)
class Node:
    """One node of an instance; `sandbox_image` is what holds a pod's namespaces."""

    member: Member
    control_plane: ControlPlane
    sandbox_image: str

    def configure(self) -> None:
        """Write the configuration of both, and make the pods' cgroup."""
        member = self.member
        state, registry = member.instance.state, member.instance.registry
        plugins = cni_plugins()
        if plugins is None:
            raise MissingToolError("The CNI plugins are not installed.")
        registries = state / "registries"
        for directory in (registries / registry, member.state("cni"), state / "run", member.containerd_root):
            directory.mkdir(parents=True, exist_ok=True)
        # First of all: from now on the member has joined, and what is made for it will be removed.
        write(member.kubelet_configuration, json.dumps(self._kubelet_configuration()))
        write(registries / registry / "hosts.toml", f'server = "http://{registry}"\n')
        write(member.state("cni") / "pods.conflist", json.dumps(self._cni()))
        write(
            member.state("containerd.toml"),
            CONTAINERD.format(
                root=member.containerd_root,
                state=member.state("run/containerd"),
                socket=member.containerd_socket,
                sandbox_image=self.sandbox_image,
                cni_plugins=plugins,
                cni_configuration=member.state("cni"),
                registries=registries,
            ),
        )
        cgroups.create(member.cgroup)

    def parts(self) -> list[Part]:
        """The processes, in the order they start in."""
        return [self._containerd(), self._kubelet()]

    def _containerd(self) -> Part:
        socket, configuration = self.member.containerd_socket, self.member.state("containerd.toml")
        command: list[str | Path] = ["containerd", "--config", configuration, "--log-level", "warn"]
        return Part(self.member.part("containerd"), command, ready=lambda: cri_answers(socket))

    def _kubelet(self) -> Part:
        member, control_plane = self.member, self.control_plane
        kubeconfig = control_plane.kubeconfig(
            member.state("kubelet.kubeconfig").name, user=f"system:node:{member.name}", group="system:nodes"
        )
        root = member.state("kubelet")
        command: list[str | Path] = [
            control_plane.tools.binary("kubernetes", "kubelet"),
            f"--config={member.kubelet_configuration}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={root}",
            f"--cert-dir={root / 'pki'}",
            f"--hostname-override={member.name}",
            f"--node-ip={member.address}",
        ]
        return Part(member.part("kubelet"), command, ready=lambda: control_plane.api.node_ready(member.name))

    def _cni(self) -> dict[str, Any]:
        member = self.member
        ranges = [[{"subnet": str(member.pod_range), "gateway": member.address}]]
        return {
            "cniVersion": "0.4.0",
            "name": member.network,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": member.bridge,
                    "isGateway": True,
                    "hairpinMode": True,
                    "mtu": outgoing_mtu(),
                    "ipam": {
                        "type": "host-local",
                        "ranges": ranges,
                        "routes": [{"dst": "0.0.0.0/0"}],
                        "dataDir": str(member.state("addresses")),
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }

    def _kubelet_configuration(self) -> dict[str, Any]:
        member, authority = self.member, self.control_plane.authority
        ports = member.instance.ports()
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            # A changed Secret is in its Pods this soon; a minute is the default.
            "syncFrequency": "10s",
            "address": member.address,
            "port": ports.kubelet,
            "readOnlyPort": 0,
            "healthzBindAddress": member.address,
            "healthzPort": ports.kubelet_health,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{member.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": member.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [names.BRIDGE_ADDRESS],
            "clusterDomain": names.DNS_DOMAIN,
            "resolvConf": str(_resolver_configuration(member.instance.state)),
            "maxPods": MAX_PODS,
            "serializeImagePulls": False,
            # One machine's disk is full of other things too: evict only when hardly anything is left.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": str(member.pod_logs),
            "volumePluginDir": str(member.state("volume-plugins")),
            "nodeStatusReportFrequency": "1m",
        }


def _resolver_configuration(state: Path) -> Path:
    """What pods with `dnsPolicy: Default` get: the machine's, or what stands behind systemd's stub."""
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if path.exists():
            return path
    empty = state / "resolv.conf"
    empty.touch()
    return empty


def cri_answers(socket: Path) -> bool:
    """Whether containerd serves what the kubelet asks for first, and ends without.

    Its own API, which `ctr version` asks, answers earlier: until the images of the last time are read again, up to
    seconds with a busy machine, CRI says "server is not initialized yet". The call is a gRPC one with no fields.
    """
    # The call's status is among the headers, or comes after the body.
    command: list[str | Path] = ["curl", "--silent", "--max-time", "5", "--http2-prior-knowledge"]
    command += ["--noproxy", "*", "--unix-socket", socket, "--dump-header", "-", "--output", "/dev/null"]
    command += ["--header", "content-type: application/grpc", "--data-binary", "@-"]
    command += ["http://localhost/runtime.v1.RuntimeService/Version"]
    no_message = "\0" * 5  # not compressed, and of no length
    return "grpc-status: 0" in run(command, check=False, stdin=no_message)


def ctr(socket: Path, *arguments: str) -> str:
    """Run containerd's client in Kubernetes' namespace and return what it printed, "" if it failed."""
    return run(["ctr", "--address", socket, "--namespace", "k8s.io", *arguments], check=False, timeout=60)
