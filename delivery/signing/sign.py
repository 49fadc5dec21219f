"""Sign the pushed images, and attest the SBOM and the provenance of each."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images import docker
from hack.images.build import DIST
from hack.images.platforms import target_platforms
from hack.images.sbom import sbom_path, sbom_paths

from delivery.errors import RecordError
from delivery.signing.cosign import Signer, signer
from delivery.signing.provenance import provenance

if TYPE_CHECKING:
    from hack.installation import Images
    from hack.toolchain.progress import Progress

    from delivery.settings import Settings

PUBLIC_KEY = DIST / "cosign.pub"
SBOM = "cyclonedx"
PROVENANCE = "slsaprovenance1"


def sign(settings: Settings, images: Images, progress: Progress, *, public_key: Path = PUBLIC_KEY) -> None:
    """Sign every image, and every platform image of an index, and attest its SBOMs and its provenance.

    Also write the public key, if a key signs. Raises SettingError, ToolError, ImageError, CommandError, or RecordError
    without `make sbom`.
    """
    missing = [str(path) for path in sbom_paths() if not path.exists()]
    if missing:
        raise RecordError(f"{', '.join(missing)} do not exist: `make sbom` writes them.")
    with signer(settings, images.operator, public_key, progress) as cosigner:
        for program, image in images.references.items():
            with progress.step(f"sign {image}"):
                sign_image(cosigner, program, image, settings)


def sign_image(cosigner: Signer, program: str, image: str, settings: Settings) -> None:
    """Sign one pushed image and its statements. Raises CommandError or ImageError."""
    cosigner.image(image)
    platforms = target_platforms()
    # Who pulls one platform's image looks for its SBOM there.
    images = docker.platform_images(image, cosigner.login) if len(platforms) > 1 else {}
    for platform in platforms:
        for subject in {image, images.get(platform, image)}:
            cosigner.attest(subject, SBOM, sbom_path(program, platform))
    with tempfile.TemporaryDirectory() as directory:
        statement = Path(directory) / "provenance.json"
        statement.write_text(json.dumps(provenance(program, settings.environment)))
        cosigner.attest(image, PROVENANCE, statement)
