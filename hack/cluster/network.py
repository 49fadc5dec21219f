"""The bridges that pods are plugged into, and pods' network namespaces."""

from __future__ import annotations

import ipaddress
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster.commands import run
from hack.cluster.errors import TakenError
from hack.cluster.instance import SERVICE_RANGE

if TYPE_CHECKING:
    from hack.cluster.member import Member

NETWORK_NAMESPACES = Path("/run/netns")
CNI_RESULTS = Path("/var/lib/cni/results")


@dataclass(frozen=True)
class Network:
    """The pod network of one node."""

    member: Member

    def refuse_conflicts(self) -> None:
        """TakenError where the bridge, or addresses of the cluster's, are somebody else's."""
        bridge = self.member.bridge
        if _link_exists(bridge):
            message = f"The network link {bridge} is there and not this cluster's: another one of ours is up?"
            raise TakenError(message)
        for route in json.loads(run(["ip", "-4", "-json", "route", "show"]) or "[]"):
            if route["dst"] == "default":
                continue
            for ours in (str(self.member.pod_range), SERVICE_RANGE):
                if ipaddress.ip_network(ours).overlaps(ipaddress.ip_network(route["dst"])):
                    message = (
                        f"The address range {ours} is in use here: {route['dst']} dev {route.get('dev')}"
                    )
                    raise TakenError(message)

    def make(self) -> None:
        """Make the bridge; nothing if it is there."""
        bridge = self.member.bridge
        if not _link_exists(bridge):
            run(["ip", "link", "add", bridge, "mtu", str(outgoing_mtu()), "type", "bridge"])
            width = self.member.pod_range.prefixlen
            run(["ip", "address", "add", f"{self.member.address}/{width}", "dev", bridge])
        run(["ip", "link", "set", bridge, "up"])

    def remove(self) -> None:
        """Remove pods' network namespaces, and the bridge."""
        _remove_pods(self.member.network)
        if _link_exists(self.member.bridge):
            run(["ip", "link", "delete", self.member.bridge])


def outgoing_mtu() -> int:
    """The MTU of the link that the default route leaves by: a larger one on the bridge loses packets."""
    routes = json.loads(run(["ip", "-4", "-json", "route", "show", "default"]) or "[]")
    if not routes:
        return 1500
    links = json.loads(run(["ip", "-json", "link", "show", "dev", routes[0]["dev"]]))
    mtu: int = links[0]["mtu"]
    return min(mtu, 1500)


def _cni_results(network: str) -> dict[Path, str]:
    """{what CNI remembers of a pod: the pod's network namespace} of the network's pods."""
    pattern = re.compile(rf"{re.escape(network)}-([0-9a-f]+)-eth0")
    found = {}
    for path in CNI_RESULTS.glob("*-eth0"):
        if pattern.fullmatch(path.name):
            interfaces = json.loads(path.read_text())["result"].get("interfaces", [])
            namespaces = [Path(each["sandbox"]).name for each in interfaces if each.get("sandbox")]
            found[path] = namespaces[0] if namespaces else ""
    return found


def _remove_pods(network: str) -> None:
    """Delete the pods' network namespaces and what CNI remembers of them, that of the loopback too."""
    for path, namespace in _cni_results(network).items():
        if namespace:
            run(["ip", "netns", "delete", namespace], check=False)
        container = path.name.removeprefix(f"{network}-").removesuffix("-eth0")
        for result in CNI_RESULTS.glob(f"*-{container}-*"):
            result.unlink()
    for directory in (CNI_RESULTS, CNI_RESULTS.parent, NETWORK_NAMESPACES):
        with suppress(OSError):  # not there, or not empty: in another's use
            directory.rmdir()


def _link_exists(name: str) -> bool:
    return bool(run(["ip", "-json", "link", "show", "dev", name], check=False).strip())
