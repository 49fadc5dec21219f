"""dist/install.yaml: everything that `kubectl apply` needs, in one file, with the images by digest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hack.delivery.install import write_overlay
from hack.images.build import DIST

if TYPE_CHECKING:
    from hack.delivery.images import Images
    from hack.kubectl import Kubectl

INSTALLER = DIST / "install.yaml"


def installer(kubectl: Kubectl, images: Images, overlay: Path) -> str:
    """A kustomization of config with these images; namespace and CRDs come first, as kustomize orders kinds.

    Raises KubectlError.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Links resolved: kustomize takes the way to the base from where the folder really is.
        write_overlay(images, overlay, Path(folder).resolve())
        return kubectl("kustomize", folder)


def write_installer(kubectl: Kubectl, images: Images, overlay: Path) -> Path:
    """Write it to dist/install.yaml. Raises KubectlError."""
    INSTALLER.write_text(installer(kubectl, images, overlay))
    return INSTALLER
