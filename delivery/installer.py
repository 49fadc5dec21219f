"""dist/install.yaml: all manifests for `kubectl apply` in one file, with the images by digest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images.build import DIST
from hack.installation import write_overlay

if TYPE_CHECKING:
    from hack.installation import Images
    from hack.kubectl import Kubectl

INSTALLER = DIST / "install.yaml"


def installer(kubectl: Kubectl, images: Images, overlay: Path) -> str:
    """Return a kustomization of config with these images; kustomize puts namespace and CRDs first.

    Raises KubectlError.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Resolve links: kustomize resolves the base's path from the folder's real location.
        write_overlay(images, overlay, Path(folder).resolve())
        return kubectl("kustomize", folder)


def write_installer(kubectl: Kubectl, images: Images, overlay: Path) -> Path:
    """Write the installer to dist/install.yaml. Raises KubectlError."""
    INSTALLER.write_text(installer(kubectl, images, overlay))
    return INSTALLER
