"""Images of third-party programs: pulled, or built around a binary of a pinned Go module.

Without access to the public registries, an image of the same name gets the same program at the same path. So the
manifests and compose.yaml always name public images.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images import docker
from hack.toolchain.commands import run
from hack.toolchain.go_modules import pins
from hack.toolchain.paths import CACHE
from hack.toolchain.tools import Tools, install_programs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hack.toolchain.progress import Progress

INPUTS = "mcq-operator.dev/inputs"
"""The label of images built here: a hash of their inputs."""
PULL_SECONDS = 300.0
NOBODY = "65534:65534"


@dataclass(frozen=True)
class Program:
    """The contents of an image."""

    module: str | None
    """The Go module in hack/toolchain/modules; None for an image of busybox alone."""
    binaries: Mapping[str, str] = field(default_factory=dict)
    """{name of the built binary: its path in the image}."""
    user: str = NOBODY
    owned: tuple[str, ...] = ()
    """Folders that the user owns, so that volumes that Docker creates there belong to the user."""
    busybox: bool = False
    """True if the image needs a shell or another small command."""
    command: tuple[str, ...] = ()
    """The entry point; by default the first binary."""


REGISTRY = "docker.io/library/registry:3.0.0"
TRAEFIK = "docker.io/library/traefik:v3.6.7"
PROMETHEUS_OPERATOR = "quay.io/prometheus-operator/prometheus-operator:v0.91.0"
CONFIG_RELOADER = "quay.io/prometheus-operator/prometheus-config-reloader:v0.91.0"
PROMETHEUS = "quay.io/prometheus/prometheus:v3.13.5"
ALERTMANAGER = "quay.io/prometheus/alertmanager:v0.28.1"
JAEGER = "quay.io/jaegertracing/jaeger:2.13.0"
KEDA = "ghcr.io/kedacore/keda:2.16.1"
KEDA_METRICS = "ghcr.io/kedacore/keda-metrics-apiserver:2.16.1"
PROMETHEUS_ADAPTER = "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0"

PROGRAMS: Mapping[str, Program] = {
    REGISTRY: Program("registry", {"registry": "/bin/registry"}, user="0"),
    TRAEFIK: Program("cluster", {"traefik": "/usr/local/bin/traefik"}, user="0"),
    PROMETHEUS_OPERATOR: Program("prometheus-operator", {"operator": "/bin/operator"}),
    CONFIG_RELOADER: Program(
        "prometheus-operator", {"prometheus-config-reloader": "/bin/prometheus-config-reloader"}
    ),
    PROMETHEUS: Program(
        "prometheus", {"prometheus": "/bin/prometheus", "promtool": "/bin/promtool"}, owned=("/prometheus",)
    ),
    ALERTMANAGER: Program(
        "alertmanager",
        {"alertmanager": "/bin/alertmanager", "amtool": "/bin/amtool"},
        owned=("/alertmanager",),
    ),
    JAEGER: Program("jaeger", {"jaeger": "/bin/jaeger"}, user="10001:10001", busybox=True),
    KEDA: Program("keda", {"operator": "/keda"}, user="1000:1000"),
    KEDA_METRICS: Program("keda", {"adapter": "/keda-adapter"}, user="1000:1000"),
    PROMETHEUS_ADAPTER: Program("prometheus-adapter", {"adapter": "/adapter"}),
}


def ensure(references: Iterable[str], progress: Progress) -> None:
    """Make these images of PROGRAMS available in the engine. Raises ImageError or MissingToolError."""
    for reference in references:
        program = PROGRAMS[reference]
        # An image without the label was pulled.
        if docker.has(reference) and docker.label(reference, INPUTS) in ("", _inputs(program)):
            continue
        with progress.step(f"docker pull {reference}"):
            pulled = docker.pull(reference, timeout=PULL_SECONDS)
        if not pulled:
            build(reference, program, Tools(CACHE, progress))


def build(reference: str, program: Program, tools: Tools) -> None:
    """Build the image from the module's binaries. Raises ImageError or MissingToolError."""
    require_linux(reference)
    if program.module:
        tools.build([program.module])
    with tools.progress.step(f"docker build {reference}"), context() as folder:
        root = folder / "root"
        root.mkdir()
        for binary, place in program.binaries.items():
            add_file(tools.binary(program.module or "", binary), root, place)
        if program.busybox:
            add_busybox(root, tools.progress)
        (folder / "empty").mkdir()
        command = program.command or tuple(program.binaries.values())[:1]
        lines = [
            "FROM scratch",
            "COPY root /",
            *(f"COPY --chown={program.user} empty {owned}/" for owned in program.owned),
            "ENV PATH=/usr/local/bin:/usr/bin:/bin",
            f"USER {program.user}",
            f"ENTRYPOINT {json.dumps(command)}",
        ]
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text("\n".join([*lines, ""]))
        docker.build(dockerfile, folder, reference, labels={INPUTS: _inputs(program)})


def require_linux(reference: str) -> None:
    """Raise ImageError on other systems: the Go binaries built there don't run in containers."""
    if sys.platform != "linux":
        message = (
            f"{reference} can't be pulled, and only Linux can build it here. Check the engine's network."
        )
        raise docker.ImageError(message)


@contextmanager
def context() -> Iterator[Path]:
    """Yield a temporary folder for a build context, on the cache's file system so that binaries can be hard links."""
    parent = CACHE / "build"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def add_file(source: Path, root: Path, place: str) -> None:
    """Link the file into `root` at its absolute path in the image."""
    target = root / place.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)


def add_busybox(root: Path, progress: Progress) -> None:
    """Add Debian's static busybox and its commands to /bin. Raises MissingToolError."""
    install_programs({"busybox": "busybox-static"}, progress)
    busybox = shutil.which("busybox")
    assert busybox  # installed above
    folder = root / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(busybox, folder / "busybox")
    for name in run([busybox, "--list"]).split():
        if not (folder / name).exists():
            (folder / name).symlink_to("busybox")


def _inputs(program: Program) -> str:
    inputs = pins(program.module) if program.module else b""
    return hashlib.sha256(inputs + repr(program).encode()).hexdigest()[:12]
