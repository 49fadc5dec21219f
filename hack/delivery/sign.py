"""Sign both images as they were pushed, by cosign, and see that whoever has the public key can verify it.

Signatures are kept beside the images, in their registry. No public service is told: neither Sigstore's transparency
log nor a time stamp authority.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster.commands import run
from hack.cluster.paths import CACHE
from hack.cluster.tools import Tools
from hack.delivery.push import login_file
from hack.images.build import DIST
from hack.images.docker import on_this_machine

if TYPE_CHECKING:
    from hack.cluster.progress import Progress
    from hack.delivery.images import Images
    from hack.delivery.settings import Settings

PUBLIC_KEY = DIST / "cosign.pub"
SECONDS = 300.0


@dataclass(frozen=True)
class Cosign:
    """The program, for nobody to be asked for a password: COSIGN_PASSWORD has it."""

    program: Path

    @classmethod
    def built(cls, progress: Progress) -> Cosign:
        """From its pinned Go module, the first time in minutes. Raises ClusterError."""
        tools = Tools(CACHE, progress)
        tools.build(["cosign"])
        return cls(tools.binary("cosign"))

    def __call__(self, *arguments: str | Path, **environment: str) -> str:
        """Run it to its end; returns its stdout. Raises CommandError with what it said."""
        return run([self.program, *arguments], stdin="", timeout=SECONDS, env={**os.environ, **environment})


def sign(settings: Settings, images: Images, progress: Progress, *, public_key: Path = PUBLIC_KEY) -> None:
    """Sign the images, of an index each that it is of as well, by the key of the settings.

    Leaves the public key. Raises SettingError or ClusterError.
    """
    key, cosign = settings.signing_key, Cosign.built(progress)
    public_key.parent.mkdir(parents=True, exist_ok=True)
    public_key.write_text(cosign("public-key", "--key", key))
    with (
        login_file(images.operator, settings.registry_login) as auth,
        tempfile.TemporaryDirectory() as directory,
    ):
        login = {"DOCKER_CONFIG": str(auth.parent)} if auth else {}
        no_services = Path(directory) / "signing-config.json"
        no_services.write_text(cosign("signing-config", "create"))
        for image in (images.operator, images.service):
            http = ["--allow-http-registry"] if on_this_machine(image) else []
            how = ["--key", key, "--signing-config", str(no_services), "--recursive", "--yes"]
            with progress.step(f"sign {image}"):
                cosign("sign", *how, *http, image, **login)
                cosign("verify", "--key", public_key, "--insecure-ignore-tlog", *http, image, **login)
