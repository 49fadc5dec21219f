"""Find or build the node image."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster import crds
from hack.images import docker, programs
from hack.images.base import base_image
from hack.images.platforms import own
from hack.images.programs import Program
from hack.toolchain.commands import run
from hack.toolchain.errors import ProviderError
from hack.toolchain.go_modules import pins
from hack.toolchain.paths import CACHE
from hack.toolchain.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hack.toolchain.progress import Progress

DOCKERFILE = Path(__file__).with_name("Dockerfile")
DEFAULT_VERSION = "1.34"
PUBLIC: Mapping[str, str] = {
    "1.37": "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
    "1.34": "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a",
    "1.33": "kindest/node:v1.33.1@sha256:050072256b9a903bd914c0b2866828150cb229cea0efe5892e2b644d5dd3b34f",
}
"""The public images: the default of kind 0.33, and from the release notes of kind 0.30 and 0.29."""
MODULES: Mapping[str, str] = {"1.37": "kubernetes-1.37", "1.34": "kubernetes", "1.33": "kubernetes-1.33"}
KIND = "sigs.k8s.io/kind"
KUBE_ROUTER = "docker.io/cloudnativelabs/kube-router:v2.1.0"
ROOT = "0:0"
NODE_BINARIES = ("kubelet", "kubeadm", "kubectl")
CONTAINERD_BINARIES = ("containerd", "ctr", "containerd-shim-runc-v2")


@dataclass(frozen=True)
class NodeImage:
    """A node image in the local engine."""

    reference: str
    built: bool
    """True for our own build: it contains kube-router and the add-ons' images, and no kindnet."""


def node_image(version: str, progress: Progress) -> NodeImage:
    """Return the node image for a minor version of Kubernetes; pull or build it the first time.

    Raises ProviderError for a version without pins, ImageError or MissingToolError.
    """
    if version not in PUBLIC:
        message = f"KUBERNETES={version} is unknown: {', '.join(PUBLIC)}, or unset for {DEFAULT_VERSION}."
        raise ProviderError(message)
    public, builder = PUBLIC[version], _Builder(MODULES[version], progress)
    for image in (NodeImage(public, built=False), NodeImage(builder.reference, built=True)):
        if docker.has(image.reference):
            return image
    with progress.step(f"docker pull {public.partition('@')[0]}"):
        if docker.pull(public, timeout=programs.PULL_SECONDS):
            return NodeImage(public, built=False)
    progress.say("kindest/node can't be pulled here: building a node image once.")
    builder.build()
    return NodeImage(builder.reference, built=True)


@dataclass(frozen=True)
class _Builder:
    kubernetes: str
    progress: Progress

    @property
    def modules(self) -> tuple[str, ...]:
        return (self.kubernetes, "cluster", "local-path-provisioner", "kind")

    @property
    def tools(self) -> Tools:
        return Tools(CACHE, self.progress)

    @property
    def version(self) -> str:
        pin = re.search(r"k8s\.io/kubernetes (v[\d.]+)", pins(self.kubernetes).decode())
        assert pin  # a module of MODULES
        return pin[1]

    @property
    def reference(self) -> str:
        """The image's name, with a hash of its inputs: changed inputs give a new image."""
        sources = [DOCKERFILE, Path(__file__), Path(programs.__file__)]
        inputs = b"".join([*(pins(each) for each in self.modules), *(each.read_bytes() for each in sources)])
        return f"mcq-node:{self.version}-{hashlib.sha256(inputs).hexdigest()[:12]}"

    def build(self) -> None:
        programs.require_linux("kindest/node")
        # The registry, which a cluster also needs, shares the packages that are compiled for the others.
        self.tools.build([*self.modules, "registry"])
        images = self._images()
        with programs.context() as context:
            self._files(context)
            for name in ("kube-proxy", *NODE_BINARIES):
                programs.add_file(self.tools.binary(self.kubernetes, name), context, f"/bin/{name}")
            for name in CONTAINERD_BINARIES:
                programs.add_file(self.tools.binary("cluster", name), context, f"/bin/{name}")
            programs.add_file(self.tools.binary("cluster", "kube-router"), context, "/bin/kube-router")
            programs.add_busybox(context / "busybox", self.progress)
            (context / "images").mkdir()
            pause = next(each for each in images if "/pause:" in each)
            arguments = {"BASE": base_image(own()), "PAUSE": pause}
            stages = {f"registry.k8s.io/kube-proxy:{self.version}": "kube-proxy", KUBE_ROUTER: "kube-router"}
            for reference, stage in stages.items():
                with self.progress.step(f"docker build {reference}"):
                    docker.build(DOCKERFILE, context, reference, arguments, target=stage)
            with self.progress.step(f"docker build {self.reference}"):
                docker.save([*images, *stages], context / "images/all.tar")
                docker.build(DOCKERFILE, context, self.reference, arguments, target="node")
        self._remove_earlier()

    def _remove_earlier(self) -> None:
        """Remove builds of this version from other inputs: each takes a gigabyte."""
        listed = run(["docker", "image", "ls", "--format={{.Repository}}:{{.Tag}}", "mcq-node"]).split()
        for reference in listed:
            if reference.startswith(f"mcq-node:{self.version}-") and reference != self.reference:
                run(["docker", "image", "rm", reference], check=False)  # a cluster may still run it

    def _images(self) -> list[str]:
        """Build the images that kubeadm and kind start, and Traefik's; return their names."""
        kubeadm = self.tools.binary(self.kubernetes, "kubeadm")
        listed = run([kubeadm, "config", "images", "list", f"--kubernetes-version={self.version}"]).split()
        images: dict[str, Program] = {}
        for reference in listed:
            name = reference.rpartition("/")[2].partition(":")[0]
            match name:
                case "kube-proxy":
                    continue
                case "pause":
                    images[reference] = Program(None, busybox=True, command=("/bin/sleep", "2147483647"))
                case "etcd":
                    images[reference] = Program("cluster", {"server": "/usr/local/bin/etcd"}, user=ROOT)
                case "coredns":
                    images[reference] = Program("cluster", {"coredns": "/coredns"}, user=ROOT)
                case _:
                    images[reference] = Program(self.kubernetes, {name: f"/usr/local/bin/{name}"}, user=ROOT)
        constants = self._storage_constants()
        images[constants["storageHelperImage"]] = Program(None, busybox=True, user=ROOT, command=("/bin/sh",))
        provisioner = "local-path-provisioner"
        images[constants["storageProvisionerImage"]] = Program(
            provisioner, {provisioner: f"/usr/bin/{provisioner}"}, user=ROOT
        )
        images[programs.TRAEFIK] = programs.PROGRAMS[programs.TRAEFIK]
        for reference, program in images.items():
            programs.build(reference, program, self.tools)
        return list(images)

    def _files(self, context: Path) -> None:
        """Copy kind's files into the context, and the two files that kind's build generates."""
        shutil.copytree(self._kind / "images/base/files", context / "files")
        manifest = self._storage.partition("const defaultStorageManifest = `")[2].rpartition("`")[0]
        for name, value in self._storage_constants().items():
            manifest = manifest.replace(f"` + {name} + `", value)
        (context / "kind/manifests").mkdir(parents=True)
        (context / "kind/manifests/default-storage.yaml").write_text(manifest)
        (context / "kind/version").write_text(self.version)

    @property
    def _kind(self) -> Path:
        return crds.directory(KIND, pinned_in="kind")

    @property
    def _storage(self) -> str:
        return (self._kind / "pkg/build/nodeimage/const_storage.go").read_text()

    def _storage_constants(self) -> dict[str, str]:
        return dict(re.findall(r'const (\w+) = "([^"]+)"', self._storage))
