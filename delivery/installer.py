"""install.yaml: all manifests for `kubectl apply` in one file, with the images by digest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images.build import DIST
from hack.installation import write_overlay

if TYPE_CHECKING:
    from hack.installation import Images
    from hack.kubectl import Kubectl

CRD = "kind: CustomResourceDefinition"


def installer(kubectl: Kubectl, images: Images, overlay: Path) -> str:
    """Return a kustomization of config with these images; kustomize puts namespace and CRDs first.

    Raises KubectlError.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Resolve links: kustomize resolves the base's path from the folder's real location.
        write_overlay(images, overlay, Path(folder).resolve())
        return kubectl("kustomize", folder)


def write_installer(kubectl: Kubectl, images: Images, overlay: Path, folder: Path = DIST) -> Path:
    """Write the installer as install.yaml, and its parts: crds.yaml, and operator.yaml with all the rest.

    Going back applies operator.yaml and uninstalling deletes it, so it has no CRDs. Raises KubectlError.
    """
    documents = installer(kubectl, images, overlay).split("\n---\n")
    crds = [each for each in documents if CRD in each.splitlines()]
    rest = [each for each in documents if each not in crds]
    for name, parts in {"install": documents, "crds": crds, "operator": rest}.items():
        (folder / f"{name}.yaml").write_text("\n---\n".join(parts).strip() + "\n")
    return folder / "install.yaml"
