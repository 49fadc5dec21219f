"""kind: a Kubernetes in a container, where a Docker engine runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hack.cluster.commands import run
from hack.cluster.tools import Tools

if TYPE_CHECKING:
    from hack.cluster.instance import Instance
    from hack.cluster.progress import Progress

CLUSTER = "mcq"
MANIFESTS = Path(__file__).parent / "manifests"
# Where kind's own local-path provisioner keeps volumes in the node.
VOLUMES_IN_NODE = "/var/local-path-provisioner"
HTTP, HTTPS = 8080, 8443


@dataclass(frozen=True)
class Kind:
    """One kind cluster with Traefik on the same ports, and volumes in the same places, as the local one."""

    instance: Instance
    progress: Progress

    def up(self) -> None:
        """Create the cluster unless it is there, and apply the Ingress controller and the StorageClass."""
        self.instance.volumes.mkdir(parents=True, exist_ok=True)
        if CLUSTER not in run([self._kind(), "get", "clusters"]).split():
            with self.progress.step("kind create cluster"):
                create = ["create", "cluster", "--name", CLUSTER, "--config", "-", "--wait", "5m"]
                configuration = json.dumps(self._configuration())
                run(
                    [self._kind(), *create, "--kubeconfig", self._kubeconfig()],
                    stdin=configuration,
                    timeout=900,
                )
        with self.progress.step("Traefik and StorageClass"):
            self._kubectl("apply", "--server-side", "--filename", MANIFESTS / "kind.yaml")
            self._kubectl("annotate", "--overwrite", "storageclass", "standard",
                          "storageclass.kubernetes.io/is-default-class=false")  # fmt: skip
            self._kubectl("rollout", "status", "--namespace=traefik", "deployment/traefik", "--timeout=5m")

    def down(self) -> None:
        """Delete the cluster; volumes and the images of the Docker engine stay."""
        with self.progress.step("kind delete cluster"):
            run([self._kind(), "delete", "cluster", "--name", CLUSTER], timeout=300)

    def status(self) -> bool:
        """Show the nodes; returns whether the cluster is there."""
        if CLUSTER not in run([self._kind(), "get", "clusters"]).split():
            self.progress.say("The kind cluster is down.")
            return False
        self.progress.say(self._kubectl("get", "nodes", "--output=wide"))
        self.progress.say(f"  Ingress                  http://127.0.0.1:{HTTP} and https://127.0.0.1:{HTTPS}")
        self.progress.say(f"  kubeconfig               {self.kubeconfig()}")
        return True

    def load(self, image: str) -> str:
        """Load the image into the node; returns a name that is new whenever the image is."""
        identity = run(["docker", "image", "inspect", "--format", "{{.Id}}", image]).strip()
        name = image.removeprefix("localhost/").rpartition(":")[0] or image.removeprefix("localhost/")
        loaded = f"localhost/{name}:{identity.removeprefix('sha256:')[:12]}"
        with self.progress.step(f"kind load {image}"):
            run(["docker", "tag", image, loaded])
            run([self._kind(), "load", "docker-image", loaded, "--name", CLUSTER], timeout=1800)
        return loaded

    def kubeconfig(self) -> Path:
        """The path of the cluster's own kubeconfig."""
        return self._kubeconfig()

    def kubectl(self) -> Path:
        """kubectl from PATH, else built."""
        found = shutil.which("kubectl")
        if found:
            return Path(found)
        tools = Tools(self.instance.cache, self.progress)
        tools.build(["kubernetes"])
        return tools.binary("kubernetes", "kubectl")

    def _kubeconfig(self) -> Path:
        return self.instance.home / "kind.kubeconfig"

    def _kind(self) -> Path:
        found = shutil.which("kind")
        if found:
            return Path(found)
        tools = Tools(self.instance.cache, self.progress)
        tools.build(["kind"])
        return tools.binary("kind")

    def _kubectl(self, *arguments: str | Path) -> str:
        return run([self.kubectl(), f"--kubeconfig={self._kubeconfig()}", *arguments], timeout=400)

    def _configuration(self) -> dict[str, Any]:
        ports = [
            {"containerPort": inner, "hostPort": outer, "listenAddress": "127.0.0.1"}
            for inner, outer in ((80, HTTP), (443, HTTPS))
        ]
        volumes = [{"hostPath": str(self.instance.volumes), "containerPath": VOLUMES_IN_NODE}]
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane", "extraPortMappings": ports, "extraMounts": volumes}],
        }
