"""Starts and stops a control plane in seconds, without root and without a container engine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack.control_plane import parts
from hack.toolchain.processes import Processes
from hack.toolchain.tools import Tools, install_programs, locked

if TYPE_CHECKING:
    from pathlib import Path

    from hack.control_plane.instance import Instance
    from hack.toolchain.progress import Progress


@dataclass(frozen=True)
class ControlPlane:
    """One control plane."""

    instance: Instance
    progress: Progress

    @property
    def tools(self) -> Tools:
        """The Go binaries."""
        return Tools(self.instance.cache, self.progress)

    @property
    def processes(self) -> Processes:
        """etcd, the API server and the controller manager."""
        return Processes(self.instance.state / "processes", self.instance.logs)

    def up(self) -> None:
        """Start the missing processes and wait until they are ready."""
        with locked(self.instance.home / ".lock"):
            install_programs({"openssl": "openssl"}, self.progress)
            self.tools.build(parts.MODULES)
            if not self.processes.names():
                shutil.rmtree(self.instance.logs, ignore_errors=True)
            for part in parts.configured(self.instance, self.tools):
                self.processes.ensure(part, self.progress)
            self.processes.confirm()

    def down(self) -> None:
        """Stop the processes and delete their state. The logs stay."""
        with locked(self.instance.home / ".lock"):
            self.processes.stop(reversed(self.processes.names()))
            shutil.rmtree(self.instance.state, ignore_errors=True)

    def kubeconfig(self) -> Path:
        """Return the path of the administrator's kubeconfig."""
        return self.instance.kubeconfig

    def kubectl(self) -> Path:
        """Return the path of a kubectl of the API server's version."""
        return self.tools.binary("kubernetes", "kubectl")
