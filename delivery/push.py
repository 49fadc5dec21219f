"""Push the images, each for one platform or several, and record their digests."""

from __future__ import annotations

import base64
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images import docker
from hack.images.build import PROGRAMS, tag
from hack.images.platforms import architecture, target_platforms
from hack.installation import Images

from delivery.pushed_images import RECORD, write_images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.toolchain.progress import Progress

    from delivery.settings import Settings


def push(settings: Settings, progress: Progress) -> Images:
    """Push the images of `make images` to the configured registry. Raises ImageError or SettingError."""
    # A failed push must not leave an earlier push's record.
    RECORD.unlink(missing_ok=True)
    registry = settings.registry
    digests = {}
    with login_file(registry, settings.registry_login) as auth:
        for program in PROGRAMS:
            name = f"{registry}/mcq-{program}"
            with progress.step(f"push {name}:{settings.tag}"):
                digest = _push(program, name, settings.tag, auth)
            digests[program] = f"{name}@{digest}"
    images = Images.of(digests)
    write_images(images, RECORD)
    return images


def _push(program: str, name: str, version: str, auth: Path | None) -> str:
    """Push the image and return its digest; for several platforms, an index of images with suffixed tags."""
    platforms = target_platforms()
    if len(platforms) == 1:
        return docker.push(tag(program, *platforms), f"{name}:{version}", auth=auth)
    images = []
    for platform in platforms:
        reference = f"{name}:{version}-{architecture(platform)}"
        images.append(f"{name}@{docker.push(tag(program, platform), reference, auth=auth)}")
    return docker.join(f"{name}:{version}", images, auth=auth)


DOCKER_HUB = "https://index.docker.io/v1/"
"""Docker Hub's name in the configuration files of docker, helm and cosign."""


@contextmanager
def login_file(registry: str, login: tuple[str, str] | None) -> Iterator[Path | None]:
    """Yield a temporary docker configuration file with the registry's login; None without a login."""
    if login is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.json"
        path.touch(mode=0o600)
        host = registry.partition("/")[0]
        server = DOCKER_HUB if host in ("docker.io", "index.docker.io") else host
        secret = base64.b64encode(":".join(login).encode()).decode()
        path.write_text(json.dumps({"auths": {server: {"auth": secret}}}))
        yield path
