"""Sign the pushed images with cosign, and check that the public key verifies them.

The signatures are stored in the images' registry. No public service is involved: neither Sigstore's transparency log
nor a time stamp authority.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images.build import DIST
from hack.images.docker import on_this_machine
from hack.toolchain.commands import run
from hack.toolchain.paths import CACHE
from hack.toolchain.tools import Tools

from delivery.push import login_file

if TYPE_CHECKING:
    from hack.installation import Images
    from hack.toolchain.progress import Progress

    from delivery.settings import Settings

PUBLIC_KEY = DIST / "cosign.pub"
SECONDS = 300.0


@dataclass(frozen=True)
class Cosign:
    """The cosign program. COSIGN_PASSWORD has the key's password, so that cosign never prompts."""

    program: Path

    @classmethod
    def built(cls, progress: Progress) -> Cosign:
        """Build cosign from its pinned Go module; the first build takes minutes. Raises ToolError."""
        tools = Tools(CACHE, progress)
        tools.build(["cosign"])
        return cls(tools.binary("cosign"))

    def __call__(self, *arguments: str | Path, **environment: str) -> str:
        """Run cosign and return its stdout. Raises CommandError with its output."""
        return run([self.program, *arguments], stdin="", timeout=SECONDS, env={**os.environ, **environment})


def sign(settings: Settings, images: Images, progress: Progress, *, public_key: Path = PUBLIC_KEY) -> None:
    """Sign every image, and every platform image of an index, with the configured key.

    Also write the public key. Raises SettingError or ToolError.
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
        for image in images.references.values():
            http = ["--allow-http-registry"] if on_this_machine(image) else []
            how = ["--key", key, "--signing-config", str(no_services), "--recursive", "--yes"]
            with progress.step(f"sign {image}"):
                cosign("sign", *how, *http, image, **login)
                cosign("verify", "--key", public_key, "--insecure-ignore-tlog", *http, image, **login)
