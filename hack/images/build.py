"""Build the product's images: `python -m hack.images`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from hack.git import committed_at, revision
from hack.images import docker, engine
from hack.images.base import base_image
from hack.images.platforms import own, require_runnable, suffix
from hack.toolchain.paths import ROOT
from hack.toolchain.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

DIST = ROOT / "dist"
SERVICE_TARGETS = {"service": "cpu", "service-torch": "torch"}
"""The stages of Dockerfile.service, by the images that they make."""
PROGRAMS = ("operator", *SERVICE_TARGETS)
LOCAL = ("operator", "service")
"""The images of a local cluster. Few solvers need torch, and its image has 5 GB."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
OCI = "org.opencontainers.image"
BASE_LABEL = f"{OCI}.base.name"


def tag(program: str, platform: str | None = None) -> str:
    """Return the local name of an image for a platform, by default this machine's."""
    return f"mcq-{program}:dev{suffix(platform or own())}"


def version() -> str:
    """Return the product's version from pyproject.toml."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def build(programs: Sequence[str] = PROGRAMS, *, platforms: Sequence[str] | None = None) -> None:
    """Build images from this checkout, by default for this machine; unchanged layers come from the cache.

    TORCH_BACKEND=cpu in the environment selects torch without CUDA for service-torch.
    Raises ImageError if a build fails, and ToolError if there is no Docker engine.
    """
    progress = Progress()
    engine.ensure(progress)
    secrets = {"ca-certificates": CERTIFICATES} if CERTIFICATES.exists() else {}
    for platform in platforms or [own()]:
        require_runnable(platform)
        base = base_image(platform)
        for program in programs:
            arguments = {"BASE": base}
            backend = os.environ.get("TORCH_BACKEND")
            if program == "service-torch" and backend:
                arguments["TORCH_BACKEND"] = backend
            with progress.step(f"docker build {tag(program, platform)}"):
                docker.build(
                    ROOT / f"Dockerfile.{'service' if program in SERVICE_TARGETS else program}",
                    ROOT, tag(program, platform), arguments, labels=_labels(base), secrets=secrets,
                    platform=None if platform == own() else platform, target=SERVICE_TARGETS.get(program),
                )  # fmt: skip


def _labels(base: str) -> dict[str, str]:
    """Return the labels that change with each commit; the Dockerfile has the constant ones."""
    created = committed_at(ROOT)
    return {
        f"{OCI}.version": version(),
        f"{OCI}.revision": revision(ROOT),
        BASE_LABEL: base,
        **({f"{OCI}.created": created} if created else {}),
    }
