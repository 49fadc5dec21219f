"""The base image: a pinned public one, or a debootstrap build if no public registry answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hack.images import docker
from hack.images.docker import ImageError, quiet
from hack.images.platforms import architecture, suffix
from hack.toolchain.paths import CACHE
from hack.toolchain.progress import Progress
from hack.toolchain.tools import install_programs, locked

PUBLIC = (
    "python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d"
)
RELEASE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv"
PULL_SECONDS = 120.0


def base_image(platform: str) -> str:
    """Return the name of a local image with Python 3.11 or newer and its venv module, for the platform.

    The first call pulls the public image or runs debootstrap (a minute; for a foreign platform ten minutes). Raises
    ImageError or MissingToolError.
    """
    local = f"mcq-base:{RELEASE}{suffix(platform)}"
    with locked(CACHE / ".base-image.lock"):
        for name in (PUBLIC, local):
            if docker.has(name):
                return name
        if docker.pull(PUBLIC, timeout=PULL_SECONDS):
            return PUBLIC
        print(f"{PUBLIC} can't be pulled here: making {local} with debootstrap.", file=sys.stderr)
        _debootstrap_image(local, platform)
        return local


def _debootstrap_image(name: str, platform: str) -> None:
    mirror = _mirror()
    install_programs({"debootstrap": "debootstrap"}, Progress())
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        root, context = Path(directory) / "root", Path(directory) / "context"
        context.mkdir()
        what = [f"--arch={architecture(platform)}", "--variant=minbase", f"--include={PACKAGES}"]
        quiet(["debootstrap", *what, RELEASE, str(root), mirror])
        for leftover in ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(root / leftover, ignore_errors=True)
            (root / leftover).mkdir(parents=True)
        quiet(["tar", "--directory", str(root), "--create", "--file", str(context / "root.tar"), "."])
        shutil.rmtree(root)
        (context / "Dockerfile").write_text('FROM scratch\nADD root.tar /\nCMD ["python3"]\n')
        docker.build(context / "Dockerfile", context, name, platform=platform)


def _mirror() -> str:
    """Return the address of this machine's apt mirror."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ImageError(f"{PUBLIC} can't be pulled, and making a base image needs root on Debian {RELEASE}.")
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for line in targets.splitlines():
        codename, address = line.split(maxsplit=1)
        if codename == RELEASE:
            return address
    message = f"{PUBLIC} can't be pulled, and this machine's apt has no {RELEASE} to make a base image from."
    raise ImageError(message)
