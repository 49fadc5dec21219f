"""The docker command line: the only module that builds, pushes and inspects images."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from hack.toolchain.commands import run
from hack.toolchain.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NOTHING: Mapping[str, str] = {}
NO_FILES: Mapping[str, Path] = {}
# The images' recorded creation time: a constant, so that the build's time does not change their content.
EPOCH = "0"
DEBIAN = "/usr/bin/docker"


class ImageError(Exception):
    """A build, pull or push failed. The message has the last lines of docker's output."""


def build(
    dockerfile: Path, context: Path, tag: str, args: Mapping[str, str] = NOTHING,
    *, labels: Mapping[str, str] = NOTHING, secrets: Mapping[str, Path] = NO_FILES,
    platform: str | None = None, target: str | None = None,
) -> None:  # fmt: skip
    """Build `context` with `dockerfile` as the local image `tag`. Raises ImageError.

    `args` are its ARGs, `secrets` the files that it may mount, `platform` for example "linux/arm64" (default: the
    engine's own), `target` one of its stages. Build steps use this machine's network.
    """
    options = [f"--build-arg={name}={value}" for name, value in {**args, "SOURCE_DATE_EPOCH": EPOCH}.items()]
    options += [f"--label={name}={value}" for name, value in labels.items()]
    options += [f"--secret=id={name},src={path}" for name, path in secrets.items()]
    options += [f"--platform={platform}"] if platform else []
    options += [f"--target={target}"] if target else []
    command = [build_client() or "docker", "build", "--network=host", f"--file={dockerfile}", f"--tag={tag}"]
    # An attestation makes the image an index, which `docker manifest create` can't join.
    quiet([*command, *options, str(context)], {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"})


@cache
def build_client() -> str | None:
    """Return the docker command that builds with BuildKit, without which a Dockerfile has no secrets and mounts.

    It is the one on PATH if it has the buildx plugin, else Debian 12's, which contains BuildKit's client; else None.
    """
    for client, arguments in (("docker", ["buildx", "version"]), (DEBIAN, ["--version"])):
        with suppress(FileNotFoundError):
            done = subprocess.run([client, *arguments], capture_output=True, text=True, check=False)
            if done.returncode == 0 and (client == "docker" or " 20.10." in done.stdout):
                return client
    return None


def push(tag: str, reference: str, *, auth: Path | None = None) -> str:
    """Push the local image `tag` as `reference` and return its digest, "sha256:…". Raises ImageError.

    `auth` is a docker configuration file, config.json, with the registry's login.
    """
    quiet(["docker", "tag", tag, reference])
    printed = quiet([*_docker(auth), "push", reference])
    digest = re.search(r"digest: (sha256:[0-9a-f]{64})", printed)
    if not digest:
        raise ImageError(f"docker push of {reference} printed no digest:\n{printed}")
    return digest[1]


def join(reference: str, images: Sequence[str], *, auth: Path | None = None) -> str:
    """Push an index of pushed images, one NAME@DIGEST per platform. Return its digest. Raises ImageError."""
    manifest = [*_docker(auth), "manifest"]
    http = ["--insecure"] if on_this_machine(reference) else []
    # What a failed attempt has left.
    subprocess.run([*manifest, "rm", reference], capture_output=True, check=False)
    quiet([*manifest, "create", *http, reference, *images])
    return quiet([*manifest, "push", "--purge", *http, reference]).split()[-1]


def platform_images(index: str, environment: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """Return {platform: NAME@DIGEST} of a pushed index, NAME@DIGEST. Raises ImageError.

    `environment` may have DOCKER_CONFIG, the folder of the registry's login.
    """
    http = ["--insecure"] if on_this_machine(index) else []
    manifest = json.loads(quiet(["docker", "manifest", "inspect", *http, index], environment))
    name, _, _ = index.partition("@")
    return {
        f"{each['platform']['os']}/{each['platform']['architecture']}": f"{name}@{each['digest']}"
        for each in manifest["manifests"]
    }


def pull(reference: str, *, timeout: float) -> bool:
    """Pull the image. Return False and print the reason if that fails or takes longer than `timeout` seconds."""
    try:
        quiet(["docker", "pull", "--quiet", reference], timeout=timeout)
    except ImageError as error:
        print(f"  {str(error).splitlines()[-1]}", file=sys.stderr)
        return False
    return True


def has(tag: str) -> bool:
    """Return True if the engine has the image."""
    done = subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False)
    return done.returncode == 0


def label(tag: str, name: str) -> str:
    """Return the value of a local image's label, or "" if it has none. Raises ImageError."""
    return quiet(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', tag]
    ).strip()


def identity(tag: str) -> str:
    """Return a local image's id, the digest of its configuration. Raises ImageError."""
    return quiet(["docker", "image", "inspect", "--format", "{{.Id}}", tag]).strip()


def save(tags: Sequence[str], file: Path) -> None:
    """Write the local images as one archive. Raises ImageError."""
    quiet(["docker", "save", f"--output={file}", *tags])


def on_this_machine(reference: str) -> bool:
    """Return True if the image's registry is on this machine and may use plain HTTP."""
    return re.match(r"(127\.0\.0\.1|localhost):", reference) is not None


def quiet(
    command: Sequence[str], environment: Mapping[str, str] = NOTHING, *, timeout: float | None = None
) -> str:
    """Run the command and return stdout. Raises ImageError with the last lines of its output."""
    try:
        return run(command, stdin="", timeout=timeout, env={**os.environ, **environment})
    except CommandError as error:
        raise ImageError(str(error)) from error


def _docker(auth: Path | None) -> list[str]:
    return ["docker", *([f"--config={auth.parent}"] if auth else [])]
