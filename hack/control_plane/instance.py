"""The directories and ports of one control plane."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from hack.toolchain.paths import CACHE

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """One control plane's ports on the loopback address."""

    api: int
    etcd: int
    etcd_peer: int


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind((ADDRESS, 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass(frozen=True)
class Instance:
    """A named control plane."""

    name: str
    cache: Path = CACHE

    @property
    def home(self) -> Path:
        """The folder of all the control plane's files."""
        return self.cache / f"control-plane-{self.name}"

    @property
    def state(self) -> Path:
        """Certificates, configuration, etcd's data and process records; `down` removes it."""
        return self.home / "state"

    @property
    def logs(self) -> Path:
        """One log file per process, kept until the next `up`."""
        return self.home / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{ADDRESS}:{self.ports().api}"

    def ports(self) -> Ports:
        """Return the control plane's ports, chosen once."""
        record = self.state / "ports.json"
        if record.exists():
            return Ports(**json.loads(record.read_text()))
        ports = Ports(*free_ports(len(fields(Ports))))
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(asdict(ports)))
        return ports
