"""One of a cluster's nodes: what it goes by, and where it keeps its things.

The second shares the machine with the first, so it has everything of its own that a node has only one of.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack.cluster.instance import POD_RANGE

if TYPE_CHECKING:
    from pathlib import Path

    from hack.cluster.instance import Instance

FIRST, SECOND = 1, 2


@dataclass(frozen=True)
class Member:
    """The first node of an instance or its second."""

    instance: Instance
    number: int = FIRST

    @property
    def name(self) -> str:
        """The Node's name."""
        return f"mcq-node{self._suffix}"

    @property
    def joined(self) -> bool:
        """Whether it was configured, and so may have things that are to be removed."""
        return self.kubelet_configuration.exists()

    @property
    def bridge(self) -> str:
        """The link that its pods are plugged into."""
        return f"mcq{self.number - 1}"

    @property
    def pod_range(self) -> ipaddress.IPv4Network:
        """The addresses of its pods: its half of the cluster's."""
        return list(ipaddress.IPv4Network(POD_RANGE).subnets())[self.number - 1]

    @property
    def address(self) -> str:
        """The node's address, which is the bridge's."""
        return str(self.pod_range[1])

    @property
    def network(self) -> str:
        """CNI's name of its pods' network."""
        return f"mcq-{self.instance.name}{self._mark}"

    @property
    def cgroup(self) -> str:
        """The cgroup that its pods are under, in every hierarchy."""
        return f"/mcq-{self.instance.name}{self._mark}"

    @property
    def containerd_socket(self) -> Path:
        """Where its containerd listens; also what tells its shims from another containerd's."""
        return self.state("run/containerd.sock")

    @property
    def containerd_root(self) -> Path:
        """Its images, which outlive `down`."""
        return self.instance.home / f"containerd{self._suffix}"

    @property
    def pod_logs(self) -> Path:
        """Not the other's: a kubelet removes the logs of pods that it doesn't know."""
        return self.instance.logs / f"pods{self._suffix}"

    @property
    def kubelet_configuration(self) -> Path:
        """The kubelet's configuration file."""
        return self.state("kubelet.yaml")

    def state(self, name: str) -> Path:
        """A file or directory of its own among the instance's state."""
        stem, dot, ending = name.partition(".")
        return self.instance.state / f"{stem}{self._suffix}{dot}{ending}"

    def part(self, name: str) -> str:
        """What a process of its own is called among the instance's."""
        return f"{name}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return "" if self.number == FIRST else f"-{self.number}"

    @property
    def _mark(self) -> str:
        """As the suffix, where an instance of another name could be meant by that."""
        return "" if self.number == FIRST else f".{self.number}"


def members(instance: Instance) -> list[Member]:
    """The instance's nodes: the first, and the second if it was added."""
    second = Member(instance, SECOND)
    return [Member(instance), *([second] if second.joined else [])]
