"""Where one local cluster keeps its things, and the names and numbers it goes by.

Images, registry storage and volumes outlive `down`; the state directory does not; logs stay until the next
`up`.
"""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hack.cluster.errors import ClusterError

CACHE = Path(os.environ.get("MCQ_CACHE") or Path.home() / ".cache/mcq-operator")
DEFAULT_NAME = "local"
CONTROL_PLANE_NAME = "control-plane"

# What listens for pods, such as the API server and DNS, does so on the address of the first node's bridge.
BRIDGE_ADDRESS = "10.213.0.1"
POD_RANGE = "10.213.0.0/16"
SERVICE_RANGE = "10.214.0.0/16"
API_SERVICE_ADDRESS = "10.214.0.1"
DNS_DOMAIN = "cluster.local"

# A Unix socket's path is limited to 108 bytes with its final zero; the second node's containerd has our longest.
_LONGEST_SOCKET_PATH = 107
_LONGEST_SOCKET = "run/containerd-2.sock.ttrpc"


@dataclass(frozen=True)
class Ports:
    """The ports of one cluster; all on the loopback address or, with a node, on a bridge's."""

    api: int = 6443
    etcd: int = 22379
    etcd_peer: int = 22380
    dns_ready: int = 22381
    kubelet: int = 10250
    kubelet_health: int = 10248
    proxy_health: int = 10256
    proxy_metrics: int = 10249
    http: int = 8080
    https: int = 8443
    registry: int = 5000

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody listens on now."""
        sockets = [socket.socket() for _ in fields(cls)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = cls(*(each.getsockname()[1] for each in sockets))
        for each in sockets:
            each.close()
        return ports


@dataclass(frozen=True)
class Instance:
    """One local cluster, by name; without a node it is a control plane alone."""

    name: str
    has_node: bool
    cache: Path = CACHE

    def __post_init__(self) -> None:
        """Refuse names and places that would fail later, far from their cause."""
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", self.name):
            message = (
                f"A cluster's name is at most 32 lower-case letters, digits and hyphens, not {self.name!r}."
            )
            raise ClusterError(message)
        if self.has_node and len(str(self.state / _LONGEST_SOCKET)) > _LONGEST_SOCKET_PATH:
            message = f"{self.home} is too long a path for Unix sockets: choose a shorter MCQ_CACHE."
            raise ClusterError(message)

    @property
    def home(self) -> Path:
        """The directory of everything the cluster owns."""
        return self.cache / ("cluster" if self.name == DEFAULT_NAME else f"cluster-{self.name}")

    @property
    def state(self) -> Path:
        """What `down` removes: certificates, configuration, etcd's data, process records."""
        return self.home / "state"

    @property
    def logs(self) -> Path:
        """One file a process; pods' logs in `pods/`, those of the second node's in `pods-2/`."""
        return self.home / "logs"

    @property
    def volumes(self) -> Path:
        """`<namespace>/<claim>` directories of the default StorageClass."""
        return self.home / "volumes"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON line for each write that the API server was asked for."""
        return self.logs / "audit.log"

    @property
    def network_record(self) -> Path:
        """What the kernel's settings were before the cluster changed them."""
        return self.state / "network.json"

    @property
    def address(self) -> str:
        """Where the API server listens: pods must reach it, the machine's neighbours must not."""
        return BRIDGE_ADDRESS if self.has_node else "127.0.0.1"

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.ports().api}"

    @property
    def registry(self) -> str:
        """The registry's host and port."""
        return f"127.0.0.1:{self.ports().registry}"

    def ports(self) -> Ports:
        """The well-known ports for the default cluster, free ones, chosen once, for any other."""
        if self.name == DEFAULT_NAME:
            return Ports()
        record = self.state / "ports.json"
        if record.exists():
            return Ports(**json.loads(record.read_text()))
        ports = Ports.free()
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(asdict(ports)))
        return ports
