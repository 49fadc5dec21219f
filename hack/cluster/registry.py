"""The local cluster's registry, set up as in kind's documentation.

A container on this machine's loopback address. Nodes reach it by the same name, `localhost:5001`: a hosts.toml
redirects them to the container. An image is pushed once and pulled by digest. The contents outlive the cluster.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hack.images import docker, programs
from hack.toolchain.commands import run
from hack.toolchain.paths import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hack.toolchain.progress import Progress

CONTAINER = "mcq-registry"
PORT = 5001
CONFIGURATION = {
    "version": "0.1",
    "log": {"level": "warn", "accesslog": {"disabled": True}},
    "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}, "delete": {"enabled": True}},
    "http": {"addr": ":5000"},
}


@dataclass(frozen=True)
class Registry:
    """The registry's container."""

    progress: Progress
    address: ClassVar[str] = f"localhost:{PORT}"

    def ensure(self, network: str, nodes: Iterable[str]) -> None:
        """Run the registry in kind's network, and configure its address on the nodes."""
        running = run(["docker", "ps", "--format", "{{.Names}}"]).split()
        if CONTAINER not in running:
            programs.ensure([programs.REGISTRY], self.progress)
            with self.progress.step(f"registry {self.address}"):
                self._run(network)
        hosts = f'[host."http://{CONTAINER}:5000"]\n'
        folder = f"/etc/containerd/certs.d/{self.address}"
        for node in nodes:
            script = f"mkdir -p {folder} && cat > {folder}/hosts.toml"
            run(["docker", "exec", "--interactive", node, "sh", "-c", script], stdin=hosts)

    def remove(self) -> None:
        """Remove the container."""
        run(["docker", "rm", "--force", CONTAINER])

    def push(self, image: str) -> str:
        """Push a local image; return its reference by digest."""
        name, _, tag = image.partition(":")
        with self.progress.step(f"push {image}"):
            digest = docker.push(image, f"{self.address}/{name}:{tag or 'latest'}")
        return f"{self.address}/{name}@{digest}"

    def _run(self, network: str) -> None:
        self.remove()
        contents, configuration = CLUSTER / "registry", CLUSTER / "registry.json"
        contents.mkdir(parents=True, exist_ok=True)
        configuration.write_text(json.dumps(CONFIGURATION))
        options = [
            "--detach", f"--name={CONTAINER}", "--restart=unless-stopped", f"--network={network}",
            f"--publish=127.0.0.1:{PORT}:5000", "--env=OTEL_TRACES_EXPORTER=none",
            f"--volume={contents}:/var/lib/registry", f"--volume={configuration}:/etc/registry.json:ro",
            "--entrypoint=/bin/registry",
        ]  # fmt: skip
        run(["docker", "run", *options, programs.REGISTRY, "serve", "/etc/registry.json"])
