"""The machine as a node: containerd, kubelet and kube-proxy, all of this cluster's own."""

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
    from hack.cluster.instance import Instance

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
    """The node of one instance; `sandbox_image` is what holds a pod's namespaces."""

    instance: Instance
    control_plane: ControlPlane
    sandbox_image: str

    def configure(self) -> None:
        """Write the configuration of all three, and make the pods' cgroup."""
        state = self.instance.state
        plugins = cni_plugins()
        if plugins is None:
            raise MissingToolError("The CNI plugins are not installed.")
        registry = state / "registries" / self.instance.registry
        for directory in (registry, state / "cni", state / "run", self.instance.home / "containerd"):
            directory.mkdir(parents=True, exist_ok=True)
        write(registry / "hosts.toml", f'server = "http://{self.instance.registry}"\n')
        write(state / "cni" / "pods.conflist", json.dumps(self._cni()))
        write(
            state / "containerd.toml",
            CONTAINERD.format(
                root=self.instance.home / "containerd",
                state=state / "run" / "containerd",
                socket=self.instance.containerd_socket,
                sandbox_image=self.sandbox_image,
                cni_plugins=plugins,
                cni_configuration=state / "cni",
                registries=state / "registries",
            ),
        )
        write(state / "kubelet.yaml", json.dumps(self._kubelet_configuration()))
        write(state / "kube-proxy.yaml", json.dumps(self._proxy_configuration()))
        cgroups.create(self.instance.cgroup)

    def parts(self) -> list[Part]:
        """The processes, in the order they start in."""
        return [self._containerd(), self._kubelet(), self._proxy()]

    def _containerd(self) -> Part:
        socket = self.instance.containerd_socket
        command: list[str | Path] = [
            "containerd",
            "--config",
            self.instance.state / "containerd.toml",
            "--log-level",
            "warn",
        ]
        return Part("containerd", command, ready=lambda: "Server:" in ctr(socket, "version"))

    def _kubelet(self) -> Part:
        state, control_plane = self.instance.state, self.control_plane
        kubeconfig = control_plane.kubeconfig(
            "kubelet.kubeconfig", user=f"system:node:{names.NODE}", group="system:nodes"
        )
        command: list[str | Path] = [
            control_plane.tools.binary("kubernetes", "kubelet"),
            f"--config={state / 'kubelet.yaml'}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={state / 'kubelet'}",
            f"--cert-dir={state / 'pki'}",
            f"--hostname-override={names.NODE}",
            f"--node-ip={names.BRIDGE_ADDRESS}",
        ]
        return Part("kubelet", command, ready=lambda: control_plane.api.node_ready(names.NODE))

    def _proxy(self) -> Part:
        state, control_plane = self.instance.state, self.control_plane
        control_plane.kubeconfig("kube-proxy.kubeconfig", user="system:kube-proxy")
        binary = control_plane.tools.binary("kubernetes", "kube-proxy")
        command: list[str | Path] = [binary, f"--config={state / 'kube-proxy.yaml'}"]
        return Part(
            "kube-proxy", command, ready=lambda: "KUBE-SERVICES" in run(["iptables", "-w", "-t", "nat", "-S"])
        )

    def _cni(self) -> dict[str, Any]:
        ranges = [[{"subnet": names.POD_RANGE, "gateway": names.BRIDGE_ADDRESS}]]
        return {
            "cniVersion": "0.4.0",
            "name": self.instance.network,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": names.BRIDGE,
                    "isGateway": True,
                    "ipMasq": True,
                    "hairpinMode": True,
                    "mtu": outgoing_mtu(),
                    "ipam": {
                        "type": "host-local",
                        "ranges": ranges,
                        "routes": [{"dst": "0.0.0.0/0"}],
                        "dataDir": str(self.instance.state / "addresses"),
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }

    def _kubelet_configuration(self) -> dict[str, Any]:
        ports, authority = self.instance.ports(), self.control_plane.authority
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            # A changed Secret is in its Pods this soon; a minute is the default.
            "syncFrequency": "10s",
            "address": names.BRIDGE_ADDRESS,
            "port": ports.kubelet,
            "readOnlyPort": 0,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": ports.kubelet_health,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self.instance.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.instance.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [names.BRIDGE_ADDRESS],
            "clusterDomain": names.DNS_DOMAIN,
            "resolvConf": str(_resolver_configuration(self.instance.state)),
            "maxPods": MAX_PODS,
            "serializeImagePulls": False,
            # One machine's disk is full of other things too: evict only when hardly anything is left.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": str(self.instance.logs / "pods"),
            "volumePluginDir": str(self.instance.state / "volume-plugins"),
            "nodeStatusReportFrequency": "1m",
        }

    def _proxy_configuration(self) -> dict[str, Any]:
        ports = self.instance.ports()
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": names.POD_RANGE,
            "hostnameOverride": names.NODE,
            "bindAddress": names.BRIDGE_ADDRESS,
            "nodePortAddresses": ["primary"],
            "healthzBindAddress": f"127.0.0.1:{ports.proxy_health}",
            "metricsBindAddress": f"127.0.0.1:{ports.proxy_metrics}",
            "clientConnection": {"kubeconfig": str(self.instance.state / "kube-proxy.kubeconfig")},
            "iptables": {"localhostNodePorts": False},
            # The machine's own connection tracking limits stay as they are.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }


def _resolver_configuration(state: Path) -> Path:
    """What pods with `dnsPolicy: Default` get: the machine's, or what stands behind systemd's stub."""
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if path.exists():
            return path
    empty = state / "resolv.conf"
    empty.touch()
    return empty


def ctr(socket: Path, *arguments: str) -> str:
    """Run containerd's client in Kubernetes' namespace and return what it printed, "" if it failed."""
    return run(["ctr", "--address", socket, "--namespace", "k8s.io", *arguments], check=False, timeout=60)
