"""kube-proxy: the rules by which Services' addresses lead to pods, on all nodes of this machine at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hack.cluster import instance as names
from hack.cluster.commands import run
from hack.cluster.files import write
from hack.cluster.member import Member
from hack.cluster.processes import Part

if TYPE_CHECKING:
    from pathlib import Path

    from hack.cluster.controlplane import ControlPlane
    from hack.cluster.instance import Instance


@dataclass(frozen=True)
class Proxy:
    """The kube-proxy of one instance. There is one kernel, so there is one: in its own eyes on the first node."""

    instance: Instance
    control_plane: ControlPlane

    def part(self) -> Part:
        """Its process."""
        path = self.instance.state / "kube-proxy.yaml"
        write(path, json.dumps(self._configuration()))
        binary = self.control_plane.tools.binary("kubernetes", "kube-proxy")
        command: list[str | Path] = [binary, f"--config={path}"]
        return Part(
            "kube-proxy", command, ready=lambda: "KUBE-SERVICES" in run(["iptables", "-w", "-t", "nat", "-S"])
        )

    def _configuration(self) -> dict[str, Any]:
        ports = self.instance.ports()
        kubeconfig = self.control_plane.kubeconfig("kube-proxy.kubeconfig", user="system:kube-proxy")
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": names.POD_RANGE,
            "hostnameOverride": Member(self.instance).name,
            "bindAddress": names.BRIDGE_ADDRESS,
            "nodePortAddresses": ["primary"],
            "healthzBindAddress": f"127.0.0.1:{ports.proxy_health}",
            "metricsBindAddress": f"127.0.0.1:{ports.proxy_metrics}",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "iptables": {"localhostNodePorts": False},
            # The machine's own connection tracking limits stay as they are.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
