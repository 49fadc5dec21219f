"""dist/install.yaml: everything that `kubectl apply` needs, in one file, with the images by digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hack.delivery.images import DIST, Images
from hack.delivery.install import write_overlay

if TYPE_CHECKING:
    from pathlib import Path

    from hack.kubectl import Kubectl

INSTALLER = DIST / "install.yaml"


def installer(kubectl: Kubectl, images: Images, overlay: Path) -> str:
    """A kustomization of config with these images; namespace and CRDs come first, as kustomize orders kinds.

    Raises KubectlError.
    """
    return kubectl("kustomize", str(write_overlay(images, overlay)))


def write_installer(kubectl: Kubectl, images: Images, overlay: Path) -> Path:
    """Write it to dist/install.yaml. Raises KubectlError."""
    INSTALLER.write_text(installer(kubectl, images, overlay))
    return INSTALLER
