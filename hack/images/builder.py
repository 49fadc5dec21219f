"""The program that builds images: docker where its engine answers, else buildah with storage in the cache.

The one place that knows which of them is used, and how each of them is spoken to.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hack.cluster.progress import Progress
from hack.cluster.tools import install_programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

CACHE = Path(os.environ.get("MCQ_CACHE") or Path.home() / ".cache/mcq-operator")
STORAGE = CACHE / "images"
NOTHING: Mapping[str, str] = {}
NO_FILES: Mapping[str, Path] = {}
# When images, and the files in them, say they were made: the time of building is nothing that they are made of.
EPOCH = "0"


class ImageError(Exception):
    """An image could not be built, pulled or pushed; the message has what the builder printed last."""


class Builder(Protocol):
    """What both builders can do; each raises ImageError."""

    @property
    def name(self) -> str:
        """The program's name."""

    def build(
        self, dockerfile: Path, context: Path, tag: str, args: Mapping[str, str] = NOTHING,
        *, labels: Mapping[str, str] = NOTHING, secrets: Mapping[str, Path] = NO_FILES,
        platform: str | None = None,
    ) -> None:  # fmt: skip
        """Build `context` by `dockerfile` as `tag`; `args` are its ARGs, `secrets` files it may mount, and
        `platform` ("linux/arm64") is this machine's own where it isn't given."""

    def push(self, tag: str, reference: str, *, auth: Path | None = None) -> str:
        """Push the local image `tag` as `reference` (a loopback registry may be plain HTTP), with the users of
        a docker configuration file, config.json, if given; returns its digest, "sha256:…"."""

    def join(self, reference: str, images: Sequence[str], *, auth: Path | None = None) -> str:
        """Push an index as `reference` by which each platform finds its own of the images, NAME@DIGEST each and pushed
        to the same repository before; returns its digest."""

    def pull(self, reference: str, *, timeout: float) -> bool:
        """Whether the image can be had from its registry within `timeout` seconds; it is then here."""

    def has(self, tag: str) -> bool:
        """Whether the image is in the local storage."""

    def contents(self, tag: str) -> AbstractContextManager[str]:
        """What is in a local image, as syft names it, while the block runs."""


@dataclass(frozen=True)
class Docker:
    """The docker command line."""

    name: str = "docker"

    def build(
        self, dockerfile: Path, context: Path, tag: str, args: Mapping[str, str] = NOTHING,
        *, labels: Mapping[str, str] = NOTHING, secrets: Mapping[str, Path] = NO_FILES,
        platform: str | None = None,
    ) -> None:  # fmt: skip
        """See Builder."""
        options = _options(args, labels, secrets, platform)
        command = ["docker", "build", "--file", str(dockerfile), "--tag", tag, *options, str(context)]
        _show(command, {"DOCKER_BUILDKIT": "1", "SOURCE_DATE_EPOCH": EPOCH})

    def push(self, tag: str, reference: str, *, auth: Path | None = None) -> str:
        """See Builder."""
        quiet(["docker", "tag", tag, reference])
        printed = quiet([*_docker(auth), "push", reference])
        digest = re.search(r"digest: (sha256:[0-9a-f]{64})", printed)
        if not digest:
            message = f"docker push of {reference} printed no digest:\n{printed}"
            raise ImageError(message)
        return digest[1]

    def join(self, reference: str, images: Sequence[str], *, auth: Path | None = None) -> str:
        """See Builder."""
        tools = [*_docker(auth), "buildx", "imagetools"]
        quiet([*tools, "create", "--tag", reference, *images])
        return quiet([*tools, "inspect", reference, "--format", "{{.Manifest.Digest}}"]).strip()

    def pull(self, reference: str, *, timeout: float) -> bool:
        """See Builder."""
        return _works(["docker", "pull", "--quiet", reference], timeout)

    def has(self, tag: str) -> bool:
        """See Builder."""
        return _works(["docker", "image", "inspect", tag], 30)

    @contextmanager
    def contents(self, tag: str) -> Iterator[str]:
        """See Builder."""
        yield f"docker:{tag}"


@dataclass(frozen=True)
class Buildah:
    """buildah with its own storage in the cache; needs no daemon, and runs build steps in a chroot."""

    storage: Path
    name: str = "buildah"

    @property
    def command(self) -> list[str]:
        """buildah and where it keeps its images."""
        return ["buildah", "--root", str(self.storage / "storage"), "--runroot", str(self.storage / "run")]

    def build(
        self, dockerfile: Path, context: Path, tag: str, args: Mapping[str, str] = NOTHING,
        *, labels: Mapping[str, str] = NOTHING, secrets: Mapping[str, Path] = NO_FILES,
        platform: str | None = None,
    ) -> None:  # fmt: skip
        """See Builder."""
        how = ["--isolation", "chroot", "--layers", "--format", "oci", "--timestamp", EPOCH]
        what = ["--file", str(dockerfile), "--tag", tag, str(context)]
        _show([*self.command, "bud", *how, *_options(args, labels, secrets, platform), *what])

    def push(self, tag: str, reference: str, *, auth: Path | None = None) -> str:
        """See Builder."""
        with tempfile.TemporaryDirectory() as directory:
            digest = Path(directory) / "digest"
            fast = ["--format", "oci", "--compression-format", "zstd", "--compression-level", "1"]
            destination = ["--digestfile", str(digest), tag, f"docker://{reference}"]
            quiet([*self.command, "push", *_access(reference, auth), *fast, *destination])
            return digest.read_text().strip()

    def join(self, reference: str, images: Sequence[str], *, auth: Path | None = None) -> str:
        """See Builder."""
        access = _access(reference, auth)
        with tempfile.TemporaryDirectory() as directory:
            digest = Path(directory) / "digest"
            index, manifest = f"localhost/index-{uuid.uuid4().hex}", [*self.command, "manifest"]
            quiet([*manifest, "create", index])
            try:
                for image in images:
                    quiet([*manifest, "add", *access, index, f"docker://{image}"])
                destination = ["--digestfile", str(digest), index, f"docker://{reference}"]
                quiet([*manifest, "push", *access, "--format", "oci", *destination])
            finally:
                quiet([*manifest, "rm", index])
            return digest.read_text().strip()

    def pull(self, reference: str, *, timeout: float) -> bool:
        """See Builder."""
        return _works([*self.command, "pull", "--quiet", reference], timeout)

    def has(self, tag: str) -> bool:
        """See Builder."""
        return _works([*self.command, "inspect", "--type", "image", tag], 30)

    @contextmanager
    def contents(self, tag: str) -> Iterator[str]:
        """See Builder."""
        container = quiet([*self.command, "from", "--pull-never", tag]).strip()
        try:
            yield f"dir:{quiet([*self.command, 'mount', container]).strip()}"
        finally:
            quiet([*self.command, "rm", container])


@cache
def docker_answers() -> bool:
    """Whether a Docker engine answers within a few seconds."""
    return shutil.which("docker") is not None and _works(["docker", "info"], 5)


@cache
def builder() -> Builder:
    """docker where its engine answers, else buildah, installed by apt-get if need be; else MissingToolError."""
    if docker_answers():
        return Docker()
    install_programs({"buildah": "buildah"}, Progress())
    return Buildah(STORAGE)


def _options(
    args: Mapping[str, str], labels: Mapping[str, str], secrets: Mapping[str, Path], platform: str | None
) -> list[str]:
    """The flags that docker and buildah have in common."""
    build_args = [word for name, value in args.items() for word in ("--build-arg", f"{name}={value}")]
    labelled = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    mounted = [word for name, path in secrets.items() for word in ("--secret", f"id={name},src={path}")]
    return [*build_args, *labelled, *mounted, *(["--platform", platform] if platform else [])]


def _docker(auth: Path | None) -> list[str]:
    return ["docker", *(["--config", str(auth.parent)] if auth else [])]


def _access(reference: str, auth: Path | None) -> list[str]:
    """buildah's flags for a registry."""
    plain = ["--tls-verify=false"] if on_this_machine(reference) else []
    return [*plain, *(["--authfile", str(auth)] if auth else [])]


def on_this_machine(reference: str) -> bool:
    """Whether an image is, or is to be, in a registry of this machine, which may be plain HTTP."""
    return re.match(r"(127\.0\.0\.1|localhost):", reference) is not None


def _show(command: list[str], environment: Mapping[str, str] = NOTHING) -> None:
    """Run with its output on stderr, as stdout is for results."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env={**os.environ, **environment}, check=False
    )
    if done.returncode:
        message = f"Exit code {done.returncode} from: {' '.join(command)}"
        raise ImageError(message)


def quiet(command: list[str]) -> str:
    """Run and return its stdout; what it said besides is shown only if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-20:])
        message = f"Exit code {done.returncode} from: {' '.join(command)}\n{last}"
        raise ImageError(message)
    return done.stdout


def _works(command: list[str], timeout: float) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
