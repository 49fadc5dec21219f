"""The operator as a process that can be killed and restarted.

Its modules take 1.5 s of CPU to load, most of a case's cost. So each operator is forked from a server process that
has loaded them, and starts with the same function as `python -m mcq_operator`.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["mcq_operator.__main__", "tests.chaos.program"])
RESYNC_SECONDS = 3
VERIFY_SECONDS = 1
STALE_SECONDS = 2
TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?: .*\n|\n)*(.{0,300})")
"""The start of a traceback, on its own lines or in a JSON line."""


@dataclass
class Program:
    """The operator of one namespace; `home` is its directory."""

    home: Path
    namespace: str
    server: str
    ends: list[str] = field(default_factory=list)
    _process: ForkServerProcess | None = None

    @property
    def log(self) -> Path:
        """The file with the output of all its processes."""
        return self.home / "operator.log"

    def start(self) -> None:
        """Start a process."""
        config = self.home / "kubeconfig"
        config.write_text(yaml.safe_dump(_kubeconfig(self.server)))
        environment = {
            "KUBECONFIG": str(config),
            "MCQ_OPERATOR_NAMESPACES": self.namespace,
            "MCQ_OPERATOR_RESYNC_SECONDS": str(RESYNC_SECONDS),
            "MCQ_OPERATOR_VERIFY_SECONDS": str(VERIFY_SECONDS),
            "MCQ_OPERATOR_STALE_SECONDS": str(STALE_SECONDS),
            "MCQ_OPERATOR_HOST": "127.0.0.1",
            "MCQ_OPERATOR_PORT": "0",
            "MCQ_OPERATOR_CANARY_URL": "http://127.0.0.1:9",
        }
        self._process = CONTEXT.Process(target=_run_operator, args=(environment, str(self.log)), daemon=True)
        self._process.start()

    def kill(self) -> None:
        """Send SIGKILL if the process runs."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None

    def revive(self) -> None:
        """Restart the operator if it exited by itself, as a kubelet would, and record the exit."""
        if self._process is not None and not self._process.is_alive():
            self.ends.append(f"the operator ended by itself, with status {self._process.exitcode}")
            self.start()

    def complaints(self) -> list[str]:
        """Return the last line of each traceback in the log; no fault excuses one."""
        log = self.log.read_text() if self.log.exists() else ""
        return [f"a traceback in the log: {last}" for last in TRACEBACK.findall(log.replace("\\n", "\n"))]


def _run_operator(environment: dict[str, str], log: str) -> None:
    """Run the operator in this process."""
    from kubernetes.aio.config import kube_config

    from mcq_operator.__main__ import main

    os.environ.update(environment)
    # kube_config read KUBECONFIG at its import, before the fork.
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = environment["KUBECONFIG"]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["mcq_operator"]
    main()


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "chaos",
        "clusters": [{"name": "chaos", "cluster": {"server": server}}],
        "users": [{"name": "chaos", "user": {}}],
        "contexts": [{"name": "chaos", "context": {"cluster": "chaos", "user": "chaos"}}],
    }
